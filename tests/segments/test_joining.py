"""Indices joined: the bytes of an index that was built of all segments at once."""

import json

import numpy as np
import pytest

from sos_mm.errors import ErrorCollector
from sos_mm.segments import build_index, join_indices, read_folder
from sos_mm.segments.index import arrow, joining, writer
from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.quality import measure
from sos_mm.segments.record import SegmentRecord
from tests.conftest import make_rgba, write_rgba
from tests.helpers.commands import run

COPIES = (16, 64)


@pytest.fixture
def folders(tmp_path):
    """Folders of segments, whose categories overlap; one is deeper than the others."""
    rng = np.random.default_rng(0)
    contents = {"a": "cat dog zebra", "b": "apple cat", "deep/er/c": "cat dog", "d": "mouse"}
    for folder, names in contents.items():
        for name in names.split():
            for number in range(int(rng.integers(1, 6))):
                path = tmp_path / folder / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_rgba(path, make_rgba(rng, *map(int, rng.integers(20, 90, 2))))
    return [tmp_path / folder for folder in contents]


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def build(folders, out, copies=COPIES):
    """Builds the index of all, and one of each; returns the paths of the latter."""
    (out / "whole").mkdir(parents=True)
    records = [record for folder in folders for record in read_folder(folder)]
    build_index(records, out / "whole" / "bank.arrow", copies=copies, progress=False)
    for number, folder in enumerate(folders):
        build_index(read_folder(folder), out / f"{number}.arrow", copies=copies, progress=False)
    return [out / f"{number}.arrow" for number in range(len(folders))]


@pytest.mark.parametrize("copies", [COPIES, ()])
@pytest.mark.parametrize("rows", [2, 7, 1000])
def test_the_bytes_of_one_build(folders, tmp_path, monkeypatch, copies, rows):
    for module in (arrow, joining, writer):
        monkeypatch.setattr(module, "BATCH_ROWS", rows)
    parts = build(folders, tmp_path / "out", copies)
    (tmp_path / "joined").mkdir()
    join_indices(parts, tmp_path / "joined" / "bank.arrow", progress=False)
    whole = IndexedRecords(tmp_path / "out" / "whole" / "bank.arrow")
    joined = IndexedRecords(tmp_path / "joined" / "bank.arrow")
    assert joined.fingerprint == whole.fingerprint
    assert joined.categories == ("apple", "cat", "dog", "mouse", "zebra")
    assert list(joined) == list(whole)
    assert contents(tmp_path / "joined") == contents(tmp_path / "out" / "whole")


def test_records_of_any_kind(tmp_path):
    rgba, records = make_rgba(np.random.default_rng(0), 20, 20), []
    values = [(text, None, 0) for text in ("], [", '"', "\n", "\\", "é", "", "\u2028")]
    values += [("x", 0.5, 5), ("y", 0.0, 15), ("z", None, 1)]
    for number, (text, soften, sides) in enumerate(values):
        path = tmp_path / "files" / f"{number}.png"
        write_rgba(path, rgba)
        more = {}
        if number % 2:
            flags, outline = (True, None, False), json.dumps([[1, 2, 3, 4.5, 6, 7]])
            more = dict(flags=flags, outline=outline, source_size=(40, 50), bordering=0.25, decontaminate=True)
        words = (text, text[::-1], f"{text},", (text, "red"), text + str(number))
        position = dict(soften=soften, cut_sides=sides, measurements=measure(rgba), length=number // 3)
        records.append(SegmentRecord(str(path), f"category {number % 2}{text}", *words, **position, **more))
    (tmp_path / "whole").mkdir()
    build_index(records, tmp_path / "whole" / "bank.arrow", progress=False)
    parts = [tmp_path / f"{number}.arrow" for number in range(5)]
    for number, part in enumerate(parts):
        build_index(records[2 * number : 2 * number + 2], part, progress=False)
    (tmp_path / "joined").mkdir()
    join_indices(parts, tmp_path / "joined" / "bank.arrow", progress=False)
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")


def test_by_several_processes_and_from_the_command_line(folders, tmp_path):
    parts = build(folders, tmp_path / "out")
    (tmp_path / "joined").mkdir()
    told = run(["index", tmp_path / "joined" / "bank.arrow", "--join", *parts, "--workers", "2"])
    number = len(IndexedRecords(tmp_path / "out" / "whole" / "bank.arrow"))
    assert (told.code, f"bank.arrow: {number} segments in 5 categories, 0 skipped" in told.out) == (0, True)
    assert contents(tmp_path / "joined") == contents(tmp_path / "out" / "whole")


def test_what_was_left_out_is_added_up(folders, tmp_path):
    for folder in folders[:2]:
        (folder / "cat" / "broken.png").write_bytes(b"no image")
    parts = []
    for number, folder in enumerate(folders):
        parts.append(tmp_path / f"{number}.arrow")
        faults = ErrorCollector("skip")
        build_index(read_folder(folder, faults), parts[-1], faults=faults, progress=False)
    join_indices(parts, tmp_path / "bank.arrow", progress=False)
    assert sum(IndexedRecords(tmp_path / "bank.arrow").skipped.values()) == 2


def test_refusals(folders, tmp_path):
    parts = build(folders[:2], tmp_path / "out")
    target = tmp_path / "out" / "whole" / "bank.arrow"
    before = contents(target.parent)
    build_index(read_folder(folders[2]), tmp_path / "plain.arrow", progress=False)
    (tmp_path / "text.arrow").write_text("no index")
    for given, out, error, message in (
        ([], target, ValueError, "must name at least one index"),
        ([*parts, parts[0]], target, ValueError, "must be different files"),
        ([*parts, target], target, ValueError, "and others than"),
        ([*parts, tmp_path / "plain.arrow"], target, ValueError, r"copies of the same sides, but .* \(16, 64\) and"),
        ([*parts, tmp_path / "absent.arrow"], target, FileNotFoundError, "absent.arrow does not exist"),
        ([*parts, tmp_path / "text.arrow"], target, ValueError, "must be an index of segments"),
        (parts, tmp_path / "text.arrow", FileExistsError, "must be a new file or an index to replace"),
    ):
        with pytest.raises(error, match=message):
            join_indices(given, out, progress=False)
    gone = next(folders[0].rglob("*.png"))
    gone.rename(tmp_path / "elsewhere.png")
    with pytest.raises(FileNotFoundError, match=f"The file {gone} does not exist"):
        join_indices(parts, target, progress=False)
    assert contents(target.parent) == before
    for words in (["--join"], ["type=sample", "--join", parts[0]], ["--join", parts[0], "--copies", "16"], []):
        assert run(["index", target, *words]).code == 2
    assert contents(target.parent) == before
