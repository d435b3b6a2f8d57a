"""The cache of pixels keeps what was used last, within its bytes."""

import copy
import pickle
from collections import Counter

import numpy as np
import pytest

from sos_mm.pixel_cache import PixelCache


@pytest.fixture
def decoded():
    return Counter()


@pytest.fixture
def cache(decoded):
    """Three pixels fit into it; each key stands for as many as it names."""
    return PixelCache(3)


@pytest.fixture
def read(decoded):
    def read(cache, key, size=1):
        def decode():
            decoded[key] += 1
            return np.zeros(size, np.uint8)

        return cache.get(key, decode)

    return read


def test_what_was_used_last_is_kept(cache, decoded, read):
    for key in "abcad":  # "d" takes the place of "b".
        read(cache, key)
    assert read(cache, "a") is read(cache, "a")
    assert decoded == dict(a=1, b=1, c=1, d=1)
    read(cache, "b")
    assert decoded["b"] == 2


def test_what_is_larger_than_the_cache_is_read_each_time(cache, decoded, read):
    read(cache, "a")
    assert read(cache, "large", 4).size == read(cache, "large", 4).size == 4
    read(cache, "a")
    assert decoded == dict(a=1, large=2)


def test_a_cache_of_no_bytes_keeps_nothing(decoded, read):
    cache = PixelCache(0)
    read(cache, "a")
    read(cache, "a")
    assert decoded["a"] == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_a_copy_starts_empty_with_the_same_limit(cache, decoded, read, copied):
    read(cache, "a")
    other = copied(cache)
    for key in "abcd":
        read(other, key)
    assert decoded == dict(a=2, b=1, c=1, d=1)
    read(other, "a")
    assert decoded["a"] == 3
