"""Images made again from the manifest alone, and what is found when a source has changed."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from sos_mm.synthesis import reproduce
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


def test_reproduce(composed):
    for index in (0, 7):
        again, scene = reproduce(composed.out, index), composed.scenes[index]
        np.testing.assert_array_equal(again.image, scene.image)
        np.testing.assert_array_equal(again.owner, scene.owner)
        assert [each.segment_id for each in again.objects] == [each.segment_id for each in scene.objects]
    with pytest.raises(IndexError, match=r"must be in \[0, 12\)"):
        reproduce(composed.out, 12)
    with pytest.raises(FileNotFoundError, match="must be a complete data set"):
        reproduce(composed.out / "images", 0)


@pytest.fixture
def small(tmp_path):
    return Composed(tmp_path, num=2, formats=["objects"]), tmp_path


def test_reproduce_tells_an_altered_recipe(small):
    composed, _ = small
    manifest = composed.json("manifest.json")
    manifest["recipe"]["min_area"] += 1
    (composed.out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="checksum says that it is not"):
        reproduce(composed.out, 0)
    manifest["recipe"]["min_area"] -= 1
    manifest["format"] += 1
    (composed.out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="another version"):
        reproduce(composed.out, 0)


def test_reproduce_tells_altered_pixels(small):
    composed, folder = small
    first = composed.scenes[0].objects[-1]
    path = folder / "segments" / f"{first.segment_id}.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 2)
    with pytest.raises(ValueError, match=r"images/00000000\.jpg, lines of image 0 in annotations/objects\.jsonl"):
        reproduce(composed.out, 0)
    shutil.rmtree(folder / "segments")
    with pytest.raises(FileNotFoundError, match="segments does not exist"):
        reproduce(composed.out, 0)


def test_reproduce_tells_altered_words(small):
    composed, folder = small
    words = (folder / "metadata.json").read_text()
    (folder / "metadata.json").write_text(words.replace("Ein Ding.", "Ein anderes."))
    with pytest.raises(ValueError, match=re.escape("that was written (lines of image 1 in annotations/objects.jsonl)")):
        reproduce(composed.out, 1)
