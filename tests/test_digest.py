"""Samples of files tell photographs apart whose names and sizes are equal."""

import hashlib

import cv2
import numpy as np
import pytest

from sos_mm.composition import PhotoBackgrounds
from sos_mm.digest import sampled_digest, sha256_of

BLOCK = 4096


def test_small_files_are_read_completely(tmp_path, rng):
    path = tmp_path / "file"
    for size in (0, 1, BLOCK, BLOCK + 1, 3 * BLOCK):
        content = rng.bytes(size)
        path.write_bytes(content)
        assert sampled_digest(path) == hashlib.sha256(f"{size}\n".encode() + content).hexdigest()


def test_beginning_middle_and_end_of_large_files_are_read(tmp_path, rng):
    path, size = tmp_path / "file", 100_001
    content = bytearray(rng.bytes(size))
    path.write_bytes(content)
    middle = (size - BLOCK) // 2
    samples = content[:BLOCK] + content[middle : middle + BLOCK] + content[-BLOCK:]
    assert sampled_digest(path) == hashlib.sha256(f"{size}\n".encode() + samples).hexdigest()


def test_a_file_of_another_size_is_another_one(tmp_path):
    for size in (50_000, 50_001):
        (tmp_path / str(size)).write_bytes(bytes(size))
    assert len({sampled_digest(path) for path in tmp_path.iterdir()}) == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_another_image_in_a_file_of_the_same_size_is_seen(tmp_path, rng, suffix):
    image = cv2.resize(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), (600, 400))
    image = np.clip(image + rng.integers(-20, 21, image.shape), 0, 255).astype(np.uint8)
    encoded = [cv2.imencode(suffix, each)[1].tobytes() for each in (image, image[::-1], image[:, ::-1], 255 - image)]
    size = max(map(len, encoded))
    assert size > 3 * BLOCK
    for number, content in enumerate(encoded):
        (tmp_path / f"{number}").write_bytes(content.ljust(size, b"\0"))
    assert len({sampled_digest(path) for path in tmp_path.iterdir()}) == len(encoded)


def test_a_folder_of_photographs_moves_without_a_change(tmp_path, photos):
    before = PhotoBackgrounds.from_folder(photos).fingerprint
    moved = photos.rename(tmp_path / "moved")
    assert PhotoBackgrounds.from_folder(moved).fingerprint == before
    path = moved / "0.png"
    content, known = bytearray(path.read_bytes()), sha256_of(path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert sha256_of(path) != known
    assert PhotoBackgrounds.from_folder(moved).fingerprint != before
