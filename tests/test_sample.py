import json
from pathlib import Path

import cv2
import pytest

from sos_mm.images import read_image
from sos_mm.segments import build_bank
from sos_mm.segments.sample import SAMPLE_FOLDER

SEGMENTS = SAMPLE_FOLDER / "segments"
# The sides of a crop are at least this long, in pixels.
SMALLEST_CROP = 110


def _load(name: str):
    return json.loads((SAMPLE_FOLDER / name).read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return path.parent.relative_to(SEGMENTS).as_posix()


@pytest.fixture(scope="module")
def files():
    return sorted(SEGMENTS.glob("*/*/*.webp"))


@pytest.fixture(scope="module")
def groups():
    return _load("groups.json")


def test_bank_is_rich_and_small(files):
    assert len(files) == 198
    assert len({path.parents[1] for path in files}) == 140
    assert sum(path.stat().st_size for path in SAMPLE_FOLDER.rglob("*") if path.is_file()) < 1.5e6
    assert "Microsoft" in (SAMPLE_FOLDER / "LICENSE.txt").read_text(encoding="utf-8")


def test_segments_are_rgba_cut_outs(files):
    for path in files:
        alpha = read_image(path, 4)[..., 3]
        assert alpha.max() == 255, path
        assert alpha.min() == 0, path
        # The background around the object is gone, so that boxes are tight from the start.
        x, y, width, height = cv2.boundingRect(alpha)
        assert max(x, y, alpha.shape[1] - x - width, alpha.shape[0] - y - height) <= 2, path


def test_segments_are_one_piece(files):
    for path in files:
        opaque = (read_image(path, 4)[..., 3] >= 128).astype("uint8")
        areas = sorted(cv2.connectedComponentsWithStats(opaque)[2][1:, cv2.CC_STAT_AREA])
        assert areas[-1] >= 0.99 * sum(areas), path


def test_every_segment_is_described(files):
    metadata = _load("metadata.json")
    assert set(metadata) == {_name(path).replace("/", "_") for path in files}
    # Two names that differ only in where the slash stands would share a description.
    assert len(metadata) == len({_name(path) for path in files})
    for key, words in metadata.items():
        assert set(words) == {"description", "short_phrase", "features"}, key
        assert words["description"].endswith("."), key
        assert words["short_phrase"], key
        assert words["features"], key
        assert all(word == word.strip() and word for word in words["features"]), key


def test_phrases_tell_segments_apart():
    phrases = [words["short_phrase"] for words in _load("metadata.json").values()]
    assert len(set(phrases)) == len(phrases)


def test_every_segment_is_in_one_group(files, groups):
    names = groups["segments"]["train"] + groups["segments"]["held_out"]
    assert sorted(names) == sorted({_name(path) for path in files})


def test_no_category_is_in_both_groups(groups):
    train, held_out = ({name.split("/")[0] for name in groups["segments"][group]} for group in ("train", "held_out"))
    assert not train & held_out
    assert 0.2 <= len(held_out) / len(train | held_out) <= 0.35


def test_every_background_is_in_one_group(groups):
    backgrounds = {entry["name"]: entry for entry in _load("backgrounds.json")}
    train, held_out = groups["backgrounds"]["train"], groups["backgrounds"]["held_out"]
    assert sorted(train + held_out) == sorted(backgrounds)
    assert not {backgrounds[name]["file"] for name in train} & {backgrounds[name]["file"] for name in held_out}


def test_backgrounds_lie_inside_their_photographs():
    skimage = pytest.importorskip("skimage")
    photos = Path(skimage.__file__).parent / "data"
    for entry in _load("backgrounds.json"):
        height, width = read_image(photos / entry["file"], 3).shape[:2]
        x0, y0, x1, y1 = entry["box"]
        assert 0 <= x0 < x1 <= width, entry
        assert 0 <= y0 < y1 <= height, entry
        assert min(x1 - x0, y1 - y0) >= SMALLEST_CROP, entry
        assert entry["about"], entry


def test_a_part_of_the_bundled_bank():
    bank = build_bank({"type": "sample", "group": "all", "include": ["apple/red_apple", "dog/tan_dog"]})
    assert [(record.category, record.sub_category) for record in bank.records] == [
        ("apple", "red_apple"),
        ("dog", "tan_dog"),
    ]
    with pytest.raises(ValueError, match="`include` names 'apple/blue_apple', but the group 'all'"):
        build_bank({"type": "sample", "group": "all", "include": ["apple/blue_apple"]})
