"""An index whose writer was killed: the next writer removes what that one left, and nothing else."""

import fcntl
import os
import signal

import pytest

from sos_mm.errors import ErrorCollector
from sos_mm.segments import SegmentBank, build_index
from sos_mm.segments.factory import list_records
from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.index.temporary import temporary_files
from tests.helpers.processes import run_killed, waiting_processes

# Stops in the middle of its work: all temporary files are there.
WRITER = """
import signal, sys
from pathlib import Path
# What starts in the background may have been told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from sos_mm.segments.index.writer import IndexWriter
with IndexWriter(Path(sys.argv[1]), "/", (64,)) as writer:
    print("writing", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def records(bank_config):
    return list_records(bank_config, ErrorCollector())


@pytest.fixture
def stopped(tmp_path):
    """Starts a writer of an index that stops in the middle of its work."""
    with waiting_processes(WRITER, "writing") as start:
        yield start


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_the_next_writer_removes_what_a_killed_one_left(records, stopped, tmp_path):
    folder = tmp_path / "indexes"
    folder.mkdir()
    alive, killed = stopped(folder / "bank.arrow"), stopped(folder / "bank.arrow")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    other = stopped(folder / "other.arrow")
    other.send_signal(signal.SIGKILL)
    other.wait()
    # Similar names that no writer of this index made.
    strangers = [f".bank.arrow.notes-{killed.pid}", f"bank.arrow.rows-{killed.pid}", ".bank.arrow.rows-mine"]
    for name in strangers:
        (folder / name).write_text("mine")
    left = hidden(folder)
    assert sum(name.endswith(f"-{killed.pid}") for name in left) >= 4

    build_index(records, folder / "bank.arrow", copies=(64,), progress=False)

    gone = {f".bank.arrow.{name}-{killed.pid}" for name in ("rows", "copies", "arrow", "lock")}
    assert set(hidden(folder)) == set(left) - gone
    assert (folder / strangers[1]).exists()
    assert sum(name.endswith(f"-{alive.pid}") for name in hidden(folder)) >= 3
    assert len(SegmentBank.from_index(folder / "bank.arrow")) == len(records)
    assert alive.poll() is None


def test_an_interrupted_writer_leaves_nothing(stopped, tmp_path):
    process = stopped(tmp_path / "bank.arrow")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert hidden(tmp_path) == []


def test_a_lock_that_was_taken_for_an_abandoned_one_is_made_again(tmp_path, monkeypatch):
    """Between the creation of its lock file and the locking, another writer may remove that file."""
    calls = []
    lock = fcntl.flock

    def flock(file, operation):
        if not calls:
            os.unlink(file.name)
        calls.append(operation)
        return lock(file, operation)

    monkeypatch.setattr("sos_mm.locks.fcntl.flock", flock)
    with temporary_files(tmp_path / "bank.arrow", ("rows",)):
        assert len(calls) == 2
        assert hidden(tmp_path) == [f".bank.arrow.lock-{os.getpid()}"]
    assert hidden(tmp_path) == []


def test_a_removal_that_is_killed_is_finished_by_the_next_writer(tmp_path):
    for name in ("copies", "lock"):  # The rows have been removed already.
        (tmp_path / f".bank.arrow.{name}-4000000").write_bytes(b"")
    with temporary_files(tmp_path / "bank.arrow", ("rows", "copies")):
        pass
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("moved", [1, 2])
def test_killed_while_the_files_are_moved(records, release, tmp_path, moved):
    """Of an index over an older one: an index is whole at any time, and the copies of no other one stay for ever."""
    path = tmp_path / "indexes/bank.arrow"
    path.parent.mkdir()
    build_index(records, path, copies=(48,), progress=False)
    mine = path.with_name("bank.0123456789abcdef.copies")
    mine.write_text("mine")
    root, metadata = release
    segments = ["type=release", f"root={root}", f"metadata={metadata}"]
    run_killed(["index", str(path), *segments, "--copies", "64"], "os.replace", moved)
    assert len(list(path.parent.glob("*.copies"))) == 3
    assert IndexedRecords(path).copies == ((48,) if moved == 1 else (64,))
    build_index(records, path, copies=(32,), progress=False)
    current = IndexedRecords(path)
    assert current.copies == (32,)
    assert sorted(path.parent.iterdir()) == sorted([path, mine, current.pack])
