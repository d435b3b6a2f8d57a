"""Backgrounds made of numbers: their colours, their smoothness, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import (
    GradientBackgrounds,
    NoBackgrounds,
    PhotoBackgrounds,
    PlainBackgrounds,
    TextureBackgrounds,
    build_backgrounds,
)

TWO = ((200, 30, 10), (20, 160, 240))
KINDS = (PlainBackgrounds, GradientBackgrounds, TextureBackgrounds)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**31))
def test_any_size_and_the_same_again(kind, height, width, seed):
    first, again = (kind().sample(np.random.default_rng(seed), (height, width)) for _ in range(2))
    assert first.shape == (height, width, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    # The caller's own.
    first[:] = 0
    np.testing.assert_array_equal(again, kind().sample(np.random.default_rng(seed), (height, width)))


@pytest.mark.parametrize("kind", KINDS)
def test_colors_are_between_those_given(kind, rng):
    low, high = np.min(TWO, axis=0), np.max(TWO, axis=0)
    for _ in range(10):
        image = kind(colors=TWO).sample(rng, (60, 80))
        assert (image >= low).all()
        assert (image <= high).all()
        # On the line between the two in colour space, but for rounding.
        share = (image.astype(float) - TWO[0]) / np.subtract(TWO[1], TWO[0])
        assert np.ptp(share, axis=2).max() < 0.02


def test_plain(rng):
    seen = {tuple(PlainBackgrounds(TWO).sample(rng, (4, 4)).reshape(-1, 3)[0].tolist()) for _ in range(40)}
    assert seen == set(TWO)
    assert len(np.unique(PlainBackgrounds().sample(rng, (20, 30)).reshape(-1, 3), axis=0)) == 1


def test_gradients_run_evenly(rng):
    """A plane in every channel, dithered by less than a level."""
    for _ in range(20):
        image = GradientBackgrounds().sample(rng, (120, 160)).astype(float)
        rows, columns = np.mgrid[:120, :160]
        plane = np.stack([np.ones(120 * 160), rows.ravel(), columns.ravel()], axis=1)
        solved = np.linalg.lstsq(plane, image.reshape(-1, 3), rcond=None)[0]
        assert np.abs(plane @ solved - image.reshape(-1, 3)).max() < 1.6
        # No bands: wherever it runs, neighbours of one level are broken by others.
        assert np.abs((plane @ solved - image.reshape(-1, 3)).mean(axis=0)).max() < 0.05


def test_textures_are_smooth_and_fill_their_range(rng):
    spans, steps = [], []
    for _ in range(30):
        image = TextureBackgrounds(colors=((0, 0, 0), (255, 255, 255)), octaves=1).sample(rng, (200, 200)).astype(int)
        spans.append(np.ptp(image))
        steps.append(max(np.abs(np.diff(image, axis=0)).max(), np.abs(np.diff(image, axis=1)).max()))
    # One of the two draws in two takes the same colour twice.
    assert max(spans) > 100
    assert max(steps) < 25
    fine = TextureBackgrounds(colors=((0, 0, 0), (255, 255, 255)), octaves=8)
    images = [fine.sample(np.random.default_rng(seed), (200, 200)).astype(int) for seed in range(6)]
    assert max(np.abs(np.diff(image, axis=1)).mean() for image in images) > 0.5


def test_none(rng):
    state = rng.bit_generator.state
    assert NoBackgrounds().sample(rng, (4, 4)) is None
    assert rng.bit_generator.state == state


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"type": "plane"}, "Did you mean 'plain'"),
        ({"type": "plain", "colours": TWO}, "Did you mean 'colors'"),
        ({"type": "plain", "colors": ((1, 2),)}, "`colors` must be"),
        ({"type": "gradient", "colors": ((1, 2, 300),)}, "`colors` must be"),
        ({"type": "texture", "cells": (0, 4)}, "`cells` must be"),
        ({"type": "texture", "octaves": 0}, "`octaves` must be"),
        ({"type": "folder"}, "must have `root`"),
        ("plain", "must be a dict"),
    ],
)
def test_backgrounds_are_checked(config, match):
    with pytest.raises(ValueError, match=match):
        build_backgrounds(config)


def test_backgrounds_by_name(photos):
    kinds = {"plain": PlainBackgrounds, "gradient": GradientBackgrounds, "texture": TextureBackgrounds}
    for name, kind in kinds.items():
        assert isinstance(build_backgrounds({"type": name, "colors": TWO}), kind)
    assert isinstance(build_backgrounds({"type": "none"}), NoBackgrounds)
    assert isinstance(build_backgrounds({"type": "folder", "root": str(photos)}), PhotoBackgrounds)
