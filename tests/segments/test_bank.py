"""Segments: the contract, the reader of the released layout, and the bank."""

import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest

from sos_mm.segments import Segment, SegmentBank, SegmentRecord, read_release_layout
from sos_mm.segments.sample import SAMPLE_FOLDER, sample_group
from tests.conftest import make_rgba, make_segment, write_rgba


def test_segment_keeps_its_pixels_from_being_changed(rng):
    rgba = make_rgba(rng, 20, 20)
    segment = Segment(rgba, "ball")
    with pytest.raises(ValueError, match="read-only"):
        segment.rgba[0, 0] = 1
    with pytest.raises(FrozenInstanceError, match="category"):
        segment.category = "cube"
    rgba[0, 0] = 1  # The maker's own array stays writable.


@pytest.mark.parametrize(
    ("rgba", "match"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"shape \(H, W, 4\), but got uint8 of shape \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
        (np.full((4, 4, 4), 255, np.uint16), "uint16"),
        (np.ones((4, 4, 4), np.float32), "float32"),
        ([[1]], "but got list"),
        (np.zeros((0, 4, 4), np.uint8), "must hold pixels"),
        (np.zeros((4, 4, 4), np.uint8), "fully transparent"),
        (np.full((4, 4, 4), 127, np.uint8), "alpha of at most 127"),
    ],
)
def test_segment_refuses_pixels(rgba, match):
    with pytest.raises(ValueError, match=match):
        Segment(rgba, "ball")


@pytest.mark.parametrize(
    "words", [{"category": ""}, {"category": None}, {"phrase": None}, {"attributes": ["red"]}, {"attributes": (1,)}]
)
def test_segment_refuses_words(rng, words):
    with pytest.raises(ValueError, match=f"`{next(iter(words))}` must be"):
        make_segment(rng, **words)


@pytest.mark.parametrize("size", [(0, 5), (5,), (5, 4, 3), [60, 80], (6.5, 8), "60x80", 60])
def test_segment_refuses_source_sizes(rng, size):
    with pytest.raises(ValueError, match=r"`source_size` must be a height and a width in pixels, but got"):
        make_segment(rng, source_size=size)


def test_source_sizes_stay_with_trimmed_and_reduced_segments(rng):
    rgba = np.zeros((30, 40, 4), np.uint8)
    rgba[5:12, 7:20] = 200
    assert Segment(rgba, "ball").source_size is None
    assert Segment(rgba, "ball", source_size=(60, 80)).trimmed().source_size == (60, 80)
    record = SegmentRecord("a.png", "ball", "", "", "", (), "ball/0", source_size=(60, 80))
    assert record.segment(rgba).source_size == (60, 80)
    assert record.segment(rgba[5:12, 7:20], full_size=(14, 26)).source_size == (60, 80)


def test_trimmed_removes_only_what_is_transparent(rng):
    rgba = np.zeros((30, 40, 4), np.uint8)
    rgba[5:12, 7:20] = 200
    rgba[11, 7:20, 3] = 1
    segment = Segment(rgba, "ball").trimmed()
    assert segment.size == (7, 13)
    assert segment.trimmed() is segment


def test_release_layout_is_read(release):
    records = read_release_layout(*release)
    assert [record.source_id for record in records] == [
        "apple/green_apple/0",
        "apple/red_apple/0",
        "apple/red_apple/1",
        "apple/red_apple/2",
        "dog/small_dog/0",
        "dog/small_dog/1",
    ]
    assert records[0].phrase == "a green apple"
    assert records[0].attributes == ("green", "whole")
    segment = records[0].read()
    assert segment.category == "apple"
    whole = cv2.imread(str(records[0].path), cv2.IMREAD_UNCHANGED)
    x, y, width, height = cv2.boundingRect(whole[..., 3])
    np.testing.assert_array_equal(segment.rgba[..., 3], whole[y : y + height, x : x + width, 3])
    np.testing.assert_array_equal(segment.rgba[..., 0], whole[y : y + height, x : x + width, 2])


def test_release_layout_includes(release):
    bank = SegmentBank.from_release_layout(*release, include=["dog/small_dog"])
    assert bank.categories == ("dog",)
    with pytest.raises(ValueError, match="'dog/big_dog'"):
        SegmentBank.from_release_layout(*release, include=["dog/small_dog", "dog/big_dog"])
    with pytest.raises(ValueError, match="there is none"):
        SegmentBank.from_release_layout(*release, include=[])


def test_release_layout_errors(release, tmp_path):
    root, metadata = release
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read_release_layout(tmp_path / "nowhere", metadata)
    with pytest.raises(NotADirectoryError, match="must be a folder"):
        read_release_layout(metadata, metadata)
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_release_layout(root, tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty must hold .* but there is none"):
        read_release_layout(tmp_path / "empty", metadata)
    broken = tmp_path / "broken.json"
    for text in ("{", "[1]", '{"a": 1}'):
        broken.write_text(text)
        with pytest.raises(ValueError, match=r"broken\.json"):
            read_release_layout(root, broken)


def test_files_and_metadata_must_match(release):
    root, metadata = release
    words = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**words, "cat_black_cat": {}}))
    with pytest.raises(ValueError, match=r"'cat_black_cat'.* no such segments"):
        read_release_layout(root, metadata)
    assert len(read_release_layout(root, metadata, allow_missing=True)) == 6
    del words["dog_small_dog"]
    metadata.write_text(json.dumps(words))
    with pytest.raises(ValueError, match=r"has no 'dog_small_dog', the key of .*dog/small_dog/0\.png"):
        read_release_layout(root, metadata)


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _rgb(path):
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))


def _deep(path):
    cv2.imwrite(str(path), np.full((8, 8, 4), 65535, np.uint16))


def _transparent(path):
    write_rgba(path, np.zeros((8, 8, 4), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_truncate, "cannot be decoded"),
        (_empty, "0 bytes"),
        (_rgb, "alpha channel"),
        (_deep, "8-bit"),
        (_transparent, "fully transparent"),
    ],
)
def test_broken_cutouts_are_named(release, spoil, match):
    root, metadata = release
    path = root / "dog" / "small_dog" / "1.png"
    spoil(path)
    bank = SegmentBank.from_release_layout(root, metadata)
    with pytest.raises(ValueError, match=match) as caught:
        bank.load(len(bank) - 1)
    assert str(path) in str(caught.value)


def test_a_file_that_went_away_is_named(bank):
    bank.records[0].path.unlink()
    with pytest.raises(FileNotFoundError, match=r"green_apple/0\.png"):
        bank.load(0)


def test_bank_draws_categories_evenly(bank, rng):
    drawn = bank.sample(rng, 20_000)
    share = np.bincount(drawn, minlength=len(bank)) / len(drawn)
    # Half for each category: an eighth for each of four apples, a quarter for each of two dogs.
    np.testing.assert_allclose(share, [1 / 8] * 4 + [1 / 4] * 2, atol=0.015)
    share = np.bincount(bank.sample(rng, 20_000, "uniform")) / 20_000
    np.testing.assert_allclose(share, [1 / 6] * 6, atol=0.015)
    with pytest.raises(ValueError, match="Did you mean 'uniform'"):
        bank.sample(rng, 1, "unifrom")


def test_bank_draws_depend_on_the_generator_alone(bank):
    first, second = (bank.sample(np.random.default_rng(5), 50) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_bank_refuses(bank):
    with pytest.raises(ValueError, match="at least one segment"):
        SegmentBank([])
    for index in (-1, 6):
        with pytest.raises(IndexError, match=f"but got {index}"):
            bank.load(index)


def test_bank_remembers_and_travels_light(bank):
    assert bank.load(1) is bank.load(1)
    copy = pickle.loads(pickle.dumps(bank))
    np.testing.assert_array_equal(copy.load(1).rgba, bank.load(1).rgba)
    # The loaded segment stays behind.
    assert pickle.dumps(bank) == pickle.dumps(copy)


def test_cache_keeps_to_its_limit(bank, monkeypatch):
    sizes = [bank.load(index).rgba.nbytes for index in range(3)]
    read, decoded = SegmentRecord.read, []
    monkeypatch.setattr(SegmentRecord, "read", lambda record: decoded.append(record.name) or read(record))
    names = [bank.records[index].name for index in range(3)]
    # Room for any two of them.
    two = SegmentBank(bank.records, cache_bytes=sum(sizes) - min(sizes))
    for index in (0, 0, 1, 0, 2, 0, 1):
        two.load(index)
    # The third put out the second, which was used longest ago.
    assert decoded == [names[place] for place in (0, 1, 2, 1)]
    decoded.clear()
    for index in (0, 0):
        pickle.loads(pickle.dumps(two)).load(index)
    assert decoded == [names[0]] * 2
    # What is larger than the whole cache is decoded each time.
    decoded.clear()
    none = SegmentBank(bank.records, cache_bytes=min(sizes) - 1)
    for _ in range(2):
        assert none.load(0).rgba.nbytes == sizes[0]
    assert decoded == [names[0]] * 2


@pytest.mark.skipif(not (SAMPLE_FOLDER / "groups.json").exists(), reason="the bundled sample is not there")
def test_sample_bank():
    train, held_out = (set(sample_group("segments", group)) for group in ("train", "held_out"))
    assert not train & held_out
    bank = SegmentBank.sample_bank("all")
    assert {f"{record.category}/{record.sub_category}" for record in bank.records} == train | held_out
    for index in range(len(bank)):
        assert bank.load(index).phrase
    with pytest.raises(ValueError, match="Did you mean 'train'"):
        SegmentBank.sample_bank("trian")


def test_composition_side_imports_no_torch():
    code = (
        "import sys, sos_mm.synthesis; print([m for m in ('torch', 'mmengine', 'mmcv', 'skimage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
