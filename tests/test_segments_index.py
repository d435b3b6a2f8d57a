"""The index: what is written comes back, for any source of segments, and broken ones are named or counted."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.segments import SegmentBank, build_bank, build_index, read_folder, read_release_layout
from sos_mm.segments import index as index_module
from sos_mm.segments.build import list_records
from sos_mm.segments.building import measured
from sos_mm.segments.faults import Faults
from sos_mm.segments.index import IndexedRecords
from sos_mm.segments.index_writer import write_index
from sos_mm.segments.pack import reduced
from sos_mm.segments.record import SegmentRecord
from tests.conftest import make_rgba, write_rgba

pytest.importorskip("pyarrow")


@pytest.fixture
def index(release, tmp_path):
    """An index of the small release, with copies of 50 pixels."""
    build_index(read_release_layout(*release), tmp_path / "bank.arrow", copies=50, progress=False)
    return tmp_path / "bank.arrow"


def test_index_gives_back_what_was_read(release, index):
    records = measured(read_release_layout(*release), progress=False)
    indexed = IndexedRecords(index)
    assert indexed.categories == ("apple", "dog")
    assert indexed.counts.tolist() == [4, 2]
    assert [replace(record, copy=None) for record in indexed] == records
    whole, bank = SegmentBank(records), SegmentBank.from_index(index)
    for strategy in ("category", "uniform", "single_category"):
        drawn = [each.sample(np.random.default_rng(3), 30, strategy) for each in (whole, bank)]
        np.testing.assert_array_equal(*drawn)
    for place in range(len(bank)):
        np.testing.assert_array_equal(bank.load(place).rgba, whole.load(place).rgba)
        assert bank.load(place).phrase == whole.load(place).phrase
    with pytest.raises(IndexError, match="but got 6"):
        indexed[6]


def test_small_uses_get_reduced_copies(index):
    bank = SegmentBank.from_index(index)
    for place in range(len(bank)):
        large, small = bank.load(place), bank.load(place, size=50)
        assert max(small.size) <= 50
        assert np.isclose(small.size[0] / small.size[1], large.size[0] / large.size[1], atol=0.06)
        assert bank.load(place, size=51) is bank.load(place) is large


def test_reduced_copies_keep_colour_at_edges():
    rgba = np.zeros((90, 60, 4), np.uint8)
    rgba[20:71, 11:50] = (200, 100, 50, 255)
    small = reduced(rgba, 30)
    assert small.shape == (30, 20, 4)
    seen = small[small[..., 3] > 0]
    assert (seen[:, :3] == (200, 100, 50)).all()
    assert np.isclose(small[..., 3].sum() * 9, rgba[..., 3].sum(), rtol=0.02)
    assert reduced(rgba, 90) is None


words = st.text(st.characters(codec="utf-8"), max_size=8)
record_words = st.tuples(st.sampled_from(["dog", "ä b", "Zug"]), words, words, words, st.lists(words, max_size=3))


@settings(max_examples=8, deadline=None)
@given(st.lists(record_words, min_size=1, max_size=8))
def test_any_words_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("words")
    facts = measured_facts(folder)
    records = [
        SegmentRecord(folder / f"{i}.png", *row[:4], tuple(row[4]), str(i), flags=(True, False, i > 3), facts=facts)
        for i, row in enumerate(rows)
    ]
    records.sort(key=lambda record: record.category)
    write_index(folder / "x.arrow", records)
    assert list(IndexedRecords(folder / "x.arrow")) == records


def measured_facts(folder):
    """Facts of a picture."""
    write_rgba(folder / "a" / "x.png", make_rgba(np.random.default_rng(0), 40, 30))
    (record,) = measured(read_folder(folder), progress=False)
    return record.facts


def test_rows_are_found_in_every_batch(release, tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_ROWS", 4)
    records = measured(read_release_layout(*release), progress=False)
    write_index(tmp_path / "b.arrow", records)
    indexed = IndexedRecords(tmp_path / "b.arrow")
    assert indexed._file.num_record_batches == 2
    assert list(indexed) == records


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
    with pytest.raises(IndexError):
        twice.records[len(twice)]


def test_broken_segments_stop_or_are_counted(release, tmp_path):
    records = read_release_layout(*release)
    records[1].path.write_bytes(b"")
    path = tmp_path / "bank.arrow"
    with pytest.raises(ValueError, match=r"red_apple/0\.png"):
        build_index(records, path, copies=32, progress=False)
    assert not list(tmp_path.glob("bank*"))
    faults = Faults("skip")
    build_index(records, path, faults=faults, progress=False)
    assert (len(IndexedRecords(path)), IndexedRecords(path).skipped, len(faults.skipped)) == (5, 1, 1)
    with pytest.raises(ValueError, match="all 1 are broken"):
        build_index(records[1:2], path, faults=faults, progress=False)


def test_the_tool_writes_an_index(release, tmp_path):
    root, metadata = release
    (root / "dog" / "small_dog" / "0.png").write_bytes(b"")
    tool, out = Path(__file__).parents[1] / "tools" / "index_segments.py", tmp_path / "new folder" / "bank.arrow"
    command = [sys.executable, str(tool), str(out), "type=release", f"root={root}", f"metadata={metadata}"]
    stopped = subprocess.run(command, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1].startswith("error: ")
    assert "small_dog/0.png" in stopped.stderr
    assert not out.exists()
    done = subprocess.run([*command, "--broken", "skip"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 segments in 2 categories, 1 skipped" in done.stdout
    assert "small_dog/0.png" in done.stderr
    assert len(build_bank({"type": "index", "path": str(out)})) == 5


def test_an_index_is_made_of_files_and_holds_all(release):
    root, metadata = map(str, release)
    config = {"type": "release", "root": root, "metadata": metadata}
    assert len(list_records(config, Faults())) == 6
    with pytest.raises(ValueError, match="`vocabulary` is not for making an index"):
        list_records({**config, "vocabulary": "coco"}, Faults())
    with pytest.raises(ValueError, match="but got 'mix'"):
        list_records({"type": "mix", "banks": [config]}, Faults())


def test_the_folder_is_checked_first(release, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="The folder of the index must be a folder"):
        build_index(read_release_layout(*release), tmp_path / "file" / "bank.arrow")


def test_two_processes_write_the_same(release, index, tmp_path):
    build_index(read_release_layout(*release), tmp_path / "two.arrow", copies=50, workers=2, progress=False)
    assert (tmp_path / "two.arrow").read_bytes() == index.read_bytes()
    assert (tmp_path / "two.copies").read_bytes() == index.with_suffix(".copies").read_bytes()


def test_a_bank_that_moved(release, index, tmp_path):
    (tmp_path / "segments").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"segments/apple/green_apple/0\.png"):
        SegmentBank.from_index(index).load(0)
    bank = SegmentBank.from_index(index, root=tmp_path / "moved")
    assert pickle.loads(pickle.dumps(bank)).load(0).category == "apple"


def test_other_files_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
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
    with pytest.raises(ValueError, match=r"other\.arrow must be an index of version 1"):
        IndexedRecords(tmp_path / "other.arrow")


def test_progress_is_told(release, tmp_path, monkeypatch, capsys):
    seconds = iter(range(100))
    monkeypatch.setattr("sos_mm.progress.time.monotonic", lambda: next(seconds))
    build_index(read_release_layout(*release), tmp_path / "bank.arrow")
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "6/6 segments, 1.0 segments/s, 0 s left"
