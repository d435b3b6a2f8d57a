"""The index: what is written comes back, for any source of segments, and broken ones are named or counted."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import place as placing
from sos_mm.composition.scene import Placement
from sos_mm.errors import ErrorCollector
from sos_mm.segments import (
    MixedBank,
    SegmentBank,
    build_bank,
    build_index,
    read_folder,
    read_release_layout,
)
from sos_mm.segments.factory import list_records
from sos_mm.segments.index import arrow as index_module
from sos_mm.segments.index import writer as index_writer
from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.index.copies import copy_sizes, shrink
from sos_mm.segments.index.fingerprint import common_root
from sos_mm.segments.index.writer import IndexWriter, measured
from sos_mm.segments.record import SegmentRecord
from tests.conftest import make_rgba, write_rgba
from tests.helpers.commands import run


@pytest.fixture
def index(release, tmp_path):
    """An index of the small release, with copies of 25, 50 and up to 100 pixels."""
    build_index(read_release_layout(*release), tmp_path / "bank.arrow", copies=(25, 50, 100), progress=False)
    return tmp_path / "bank.arrow"


def test_index_gives_back_what_was_read(release, index):
    records = measured(read_release_layout(*release), progress=False)
    indexed = IndexedRecords(index)
    assert indexed.categories == ("apple", "dog")
    assert indexed.counts.tolist() == [4, 2]
    assert list(indexed) == records
    whole, bank = SegmentBank(records), SegmentBank.from_index(index)
    for strategy in ("category", "uniform", "single_category"):
        drawn = [each.sample(np.random.default_rng(3), 30, strategy) for each in (whole, bank)]
        np.testing.assert_array_equal(*drawn)
    for place in range(len(bank)):
        np.testing.assert_array_equal(bank.load(place).rgba, whole.load(place).rgba)
        assert bank.load(place).phrase == whole.load(place).phrase
    with pytest.raises(IndexError, match="but got 6"):
        indexed[6]


def test_the_smallest_copy_that_is_large_enough_is_read(index):
    bank = SegmentBank.from_index(index)
    for place in range(len(bank)):
        whole, outline = bank.load(place), bank.info(place)
        assert outline == (whole.size, whole.category, None, 0)
        assert bank.load(place, (1, 1)).size == whole.size
        for part in np.linspace(0.05, 1, 20):
            wanted = tuple(max(round(side * part), 1) for side in whole.size)
            loaded = bank.load(place, wanted)
            sizes = [*copy_sizes(whole.size, (25, 50, 100)), whole.size]
            enough = [size for size in sizes if size == whole.size or min(np.divide(size, wanted)) >= 2]
            assert loaded.rgba.shape[:2] == enough[0]
            assert (loaded.size, loaded.phrase) == (whole.size, whole.phrase)
            if enough[0] == whole.size:
                shown = whole.rgba[..., 3] > 0
                np.testing.assert_array_equal(loaded.rgba[shown], whole.rgba[shown])
    with pytest.raises(ValueError, match=r"`at_least` must be .* but got \(0, 5\)"):
        bank.load(0, (0, 5))


def test_without_an_index_there_are_no_copies_to_read(bank):
    assert bank.load(0, (5, 5)) is bank.load(0)
    measured_bank = SegmentBank(measured(bank.records, progress=False))
    for place in range(len(bank)):
        expected = bank.load(place).size, bank.load(place).category, None, 0
        assert bank.info(place) == measured_bank.info(place) == expected


def test_placed_copies_look_like_the_whole(index):
    bank, reduced = SegmentBank.from_index(index), 0
    for place in range(len(bank)):
        whole = bank.load(place)
        for part in (0.1, 0.22, 0.35):
            box = (3, 2, 3 + max(round(whole.size[1] * part), 1), 2 + max(round(whole.size[0] * part), 1))
            small = bank.load(place, (box[3] - box[1], box[2] - box[0]))
            reduced += small.rgba.shape[0] < whole.rgba.shape[0]
            first, second = (placing.place(each, Placement(0, box, False), (100, 100)) for each in (whole, small))
            assert (first.extent, first.rgba.shape) == (second.extent, second.rgba.shape)
            difference = np.abs(first.rgba.astype(int) - second.rgba)
            assert difference.mean() < 4
            opaque = first.rgba[..., 3] >= 128, second.rgba[..., 3] >= 128
            assert np.count_nonzero(opaque[0] != opaque[1]) <= max(2, 0.03 * np.count_nonzero(opaque[0]))
    assert reduced >= len(bank)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_shrinking_is_the_mean_over_areas(height, width, small_height, small_width, seed):
    size = min(small_height, height), min(small_width, width)
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    # Each pixel as many times as the other grid is fine, so that every part is an integer number of pixels.
    fine = rgba.repeat(size[0], 0).repeat(size[1], 1).astype(float).reshape(size[0], height, size[1], width, 4)
    alpha = fine[..., 3:].sum(axis=(1, 3))
    color = (fine[..., :3] * fine[..., 3:]).sum(axis=(1, 3)) / np.maximum(alpha, 1)
    small = shrink(rgba, size)
    np.testing.assert_allclose(small[..., 3:], alpha / (height * width), atol=0.51)
    seen = small[..., 3] > 0
    np.testing.assert_allclose(small[seen][:, :3], color[seen], atol=0.51)
    assert not small[~seen].any()


def test_shrinking_in_strips_is_the_same(rng, monkeypatch):
    rgba = make_rgba(rng, 150, 40)
    whole = shrink(rgba, (40, 11))
    monkeypatch.setattr("sos_mm.segments.index.copies._STRIP", 7)
    np.testing.assert_array_equal(shrink(rgba, (40, 11)), whole)


def test_copies_of_what_is_too_fine_are_left_out(tmp_path):
    rgba = np.zeros((400, 400, 4), np.uint8)
    rgba[::40, ::40] = 255
    write_rgba(tmp_path / "files" / "dust" / "1.png", rgba)
    build_index(read_folder(tmp_path / "files"), tmp_path / "bank.arrow", copies=(50, 400), progress=False)
    bank = SegmentBank.from_index(tmp_path / "bank.arrow")
    assert bank.load(0, (10, 10)).rgba.shape == bank.load(0).rgba.shape


words = st.text(st.characters(codec="utf-8"), max_size=8)
record_words = st.tuples(st.sampled_from(["dog", "ä b", "Zug"]), words, words, words, st.lists(words, max_size=3))


@settings(max_examples=8)
@given(st.lists(record_words, min_size=1, max_size=8))
def test_any_words_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("words")
    found = measurements_of(folder)
    records = [
        SegmentRecord(
            str(folder / f"{i}.png"), *row[:4], tuple(row[4]), str(i), flags=(True, False, i > 3), measurements=found
        )
        for i, row in enumerate(rows)
    ]
    for record in records:
        record.path.write_bytes(b"x")
    records.sort(key=lambda record: record.category)
    write_index(folder / "x.arrow", records)
    assert list(IndexedRecords(folder / "x.arrow")) == records


def write_index(path, records):
    """An index of measured records, without copies."""
    with IndexWriter(path, common_root(records)) as writer:
        for record in records:
            writer.add(record)
        writer.finish({})


def measurements_of(folder):
    """Measurements of an image."""
    write_rgba(folder / "a" / "x.png", make_rgba(np.random.default_rng(0), 40, 30))
    (record,) = measured(read_folder(folder), progress=False)
    return record.measurements


def test_rows_are_found_in_every_batch(release, tmp_path, monkeypatch):
    for module in (index_module, index_writer):
        monkeypatch.setattr(module, "BATCH_ROWS", 4)
    records = measured(read_release_layout(*release), progress=False)
    write_index(tmp_path / "b.arrow", records)
    indexed = IndexedRecords(tmp_path / "b.arrow")
    assert indexed._file.num_record_batches == 2
    assert list(indexed) == records


def test_source_sizes_come_back(release, tmp_path, monkeypatch):
    records = read_release_layout(*release)
    sizes = [(200 + place, 300 + place) for place in range(len(records))]
    sized = [replace(record, source_size=size) for record, size in zip(records, sizes, strict=True)]
    build_index(sized, tmp_path / "all.arrow", copies=(25,), progress=False)
    build_index([*sized[:-1], records[-1]], tmp_path / "most.arrow", progress=False)
    build_index(records, tmp_path / "none.arrow", progress=False)
    every, most, none = (SegmentBank.from_index(tmp_path / f"{name}.arrow") for name in ("all", "most", "none"))
    assert [record.source_size for record in every.records] == sizes
    assert [record.source_size for record in most.records] == [*sizes[:-1], None]
    assert [every.info(place).source_size for place in range(6)] == sizes
    assert most.info(5).source_size is None
    assert every.load(0).source_size == every.load(0, (4, 4)).source_size == sizes[0]
    assert SegmentBank(sized).info(2).source_size == sizes[2]
    assert [bank.has_source_sizes for bank in (every, most, none)] == [True, False, False]
    assert [SegmentBank(each).has_source_sizes for each in (sized, records)] == [True, False]
    # Of a part, those that are left in it count.
    apples = [bank.select(vocabulary=["apple"]) for bank in (every, most, none)]
    assert [bank.has_source_sizes for bank in apples] == [True, True, False]
    assert not most.select(vocabulary=["dog"]).has_source_sizes
    assert MixedBank([every, apples[1]]).has_source_sizes
    assert not MixedBank([every, none]).has_source_sizes
    # The header says it: no column is read.
    monkeypatch.setattr(IndexedRecords, "column", None)
    assert every.has_source_sizes
    assert not most.has_source_sizes


def test_travels_as_a_path(index):
    bank = SegmentBank.from_index(index).select(attributes=["red"])
    bank.load(0)
    data = pickle.dumps(bank)
    assert len(data) < 1500
    copy = pickle.loads(data)
    assert copy.categories == ("apple",)
    assert copy.load(2).source_id == bank.load(2).source_id


def test_selections_are_those_of_lists(release, index):
    config = {"filters": {"area": (4000, 1e6)}, "vocabulary": ["apple"], "attributes": ["Whole"]}
    root, metadata = map(str, release)
    whole = build_bank({"type": "release", "root": root, "metadata": metadata, **config})
    bank = build_bank({"type": "index", "path": str(index), **config})
    assert 0 < len(bank) < 4
    assert [record.source_id for record in bank.records] == [record.source_id for record in whole.records]
    twice = bank.select(attributes=["red"])
    assert {record.sub_category for record in twice.records} == {"red_apple"}
    with pytest.raises(IndexError, match=r"`position` must be in \[0, 1\), but got 1"):
        twice.records[len(twice)]


def test_the_tool_writes_an_index(release, tmp_path):
    root, metadata = release
    (root / "dog" / "small_dog" / "0.png").write_bytes(b"")
    out = tmp_path / "new folder" / "bank.arrow"
    command = ["index_segments.py", out, "type=release", f"root={root}", f"metadata={metadata}"]
    stopped = run(command)
    assert (stopped.code, stopped.raised) == (2, "")
    assert stopped.line.startswith("error: ")
    assert "small_dog/0.png" in stopped.line
    assert not out.exists()
    done = run([*command, "--broken", "skip"])
    assert done.code == 0, done
    assert "5 segments in 2 categories, 1 skipped" in done.out
    assert "small_dog/0.png" in done.err
    assert len(build_bank({"type": "index", "path": str(out)})) == 5


def test_an_index_is_made_of_files_and_holds_all(release):
    root, metadata = map(str, release)
    config = {"type": "release", "root": root, "metadata": metadata}
    assert len(list_records(config, ErrorCollector())) == 6
    with pytest.raises(ValueError, match="`vocabulary` is not for making an index"):
        list_records({**config, "vocabulary": "coco"}, ErrorCollector())
    with pytest.raises(ValueError, match="but got 'mix'"):
        list_records({"type": "mix", "banks": [config]}, ErrorCollector())


def test_the_folder_is_checked_first(release, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="The folder of the index must be a folder"):
        build_index(read_release_layout(*release), tmp_path / "file" / "bank.arrow")


def test_two_processes_write_the_same(release, index, tmp_path):
    build_index(read_release_layout(*release), tmp_path / "two.arrow", copies=(25, 50, 100), workers=2, progress=False)
    assert (tmp_path / "two.arrow").read_bytes() == index.read_bytes()
    assert IndexedRecords(tmp_path / "two.arrow").pack.read_bytes() == IndexedRecords(index).pack.read_bytes()


def test_a_bank_that_moved(release, index, tmp_path):
    (tmp_path / "segments").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"segments/apple/green_apple/0\.png"):
        SegmentBank.from_index(index).load(0)
    bank = SegmentBank.from_index(index, root=tmp_path / "moved")
    assert pickle.loads(pickle.dumps(bank)).load(0).category == "apple"


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.arrow does not exist"):
        IndexedRecords(tmp_path / "none.arrow")
    (tmp_path / "empty.arrow").write_bytes(b"")
    (tmp_path / "text.arrow").write_bytes(b"no index at all")
    for name in ("empty", "text"):
        with pytest.raises(ValueError, match=rf"{name}\.arrow must be an index of segments"):
            IndexedRecords(tmp_path / f"{name}.arrow")
    table = pa.table({"category": ["a"]})
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"other\.arrow must be an index of version 4"):
        IndexedRecords(tmp_path / "other.arrow")


def test_progress_is_told(release, tmp_path, capsys):
    build_index(read_release_layout(*release), tmp_path / "bank.arrow")
    assert re.search(r"\r6/6 segments, .*( segments/s|s/ segments), 00:00 left *\n$", capsys.readouterr().err)
    build_index(read_release_layout(*release), tmp_path / "bank.arrow", progress=False)
    assert capsys.readouterr().err == ""
