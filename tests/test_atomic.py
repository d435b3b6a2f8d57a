"""Files that are there whole or not at all."""

import os

import pytest

from sos_mm.atomic import atomic_path, atomic_text, write_atomic


def write_half(path):
    with atomic_text(path) as file:
        file.write("new")
        file.flush()
        assert path.read_bytes() == b"old"
        raise OSError("full")


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_atomic(path, b"old")
    with pytest.raises(OSError, match="full"):
        write_half(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.txt": b"old"}
    with atomic_text(path) as file:
        file.write("n\u00e9w\n")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.txt": b"n\xc3\xa9w\n"}


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    path, synced, original = tmp_path / "a", [], os.fsync

    def note(descriptor):
        synced.append((os.fstat(descriptor).st_size, path.exists()))
        original(descriptor)

    monkeypatch.setattr("os.fsync", note)
    with atomic_path(path, tmp_path / "other") as part:
        assert part == tmp_path / "other"
        part.write_bytes(b"12345")
    assert synced == [(5, False)]
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
