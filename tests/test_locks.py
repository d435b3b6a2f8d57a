"""Locks of files, whoever removes the file and however its holder ends."""

import os
import re

import pytest

from sos_mm.atomic import atomic_path, remove_work, write_atomic
from sos_mm.locks import lock_file, one_at_a_time, short_turn, sole_run
from tests.helpers.processes import waiting_processes

HOLDER = """
import sys
from pathlib import Path
from sos_mm.atomic import atomic_path
from sos_mm.locks import lock_file
path = Path(sys.argv[1])
if sys.argv[2] == "lock":
    lock = lock_file(path)
else:
    part = atomic_path(path)
    part.__enter__().write_text("half of the other's, and longer")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder():
    """Starts a process that holds a lock, or is about to write a file."""
    with waiting_processes(HOLDER, "held") as start:
        yield start


def test_a_killed_holder_leaves_no_lock(holder, tmp_path):
    process = holder(tmp_path / ".lock", "lock")
    with (
        pytest.raises(FileExistsError, match=f"Another run is using {tmp_path}: wait for it"),
        sole_run(tmp_path, ".lock"),
    ):
        pass
    assert (tmp_path / ".lock").exists()
    process.kill()
    process.wait()
    with sole_run(tmp_path, ".lock"):
        assert lock_file(tmp_path / ".lock") is None
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_is_removed_is_taken_anew(tmp_path):
    with one_at_a_time(tmp_path / ".lock"):
        (tmp_path / ".lock").unlink()
        with lock_file(tmp_path / ".lock") as lock:
            assert os.path.samestat(os.fstat(lock.fileno()), (tmp_path / ".lock").stat())


def test_what_a_killed_process_leaves_of_a_file_is_written_over(holder, tmp_path):
    process = holder(tmp_path / "a", "write")
    process.kill()
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".a.part"]
    with atomic_path(tmp_path / "a") as part, open(part, "ab") as file:
        file.write(b"mine")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"mine"}


def test_two_processes_that_write_one_file_do_not_mix(holder, tmp_path):
    process = holder(tmp_path / "a", "write")
    write_atomic(tmp_path / "a", b"mine")
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert (tmp_path / ".a.part").read_text() == "half of the other's, and longer"
    assert process.poll() is None


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("sos_mm.locks.fcntl.flock", refuse)
    write_atomic(tmp_path / "a", b"mine")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"mine"}
    done = False
    with short_turn(tmp_path / "turns"):
        done = True
    assert done


def test_errors_of_a_turn_are_told(tmp_path):
    """That its file cannot be made, and those of the block, whatever their number."""
    with pytest.raises(FileNotFoundError), short_turn(tmp_path / "none" / "turns"):
        pass
    with pytest.raises(OSError, match="of the block"), short_turn(tmp_path / "turns"):
        raise OSError(95, "of the block")


def test_only_names_of_ones_own_are_removed(tmp_path):
    work = tmp_path / "work"
    (work / "000001").mkdir(parents=True)
    for name in ("000001/a", "run.json", "notes.txt"):
        (work / name).write_text("x")
    remove_work(work, re.compile(r"\d{6}|run\.json"))
    assert [path.name for path in work.iterdir()] == ["notes.txt"]
    (work / "notes.txt").unlink()
    remove_work(work, re.compile(r"\d{6}"))
    remove_work(work, re.compile(r"\d{6}"))
    assert not work.exists()
