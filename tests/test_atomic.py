"""Files and folders that are there completely or not at all."""

import os

import pytest

from sos_mm.atomic import atomic_folder, atomic_path, atomic_text, write_atomic


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


def test_a_folder_is_there_with_all_files_on_the_disk_or_not_at_all(tmp_path, monkeypatch):
    folder, part, synced, original = tmp_path / "a", tmp_path / "a.part", [], os.fsync
    part.mkdir()
    (part / "left by a killed run").write_text("x")

    def note(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), folder.exists()))
        original(descriptor)

    def fill(error):
        with atomic_folder(folder, part) as found:
            assert (found, list(found.iterdir())) == (part, [])
            (found / "b").write_bytes(b"12345")
            if error:
                raise OSError("full")

    monkeypatch.setattr("os.fsync", note)
    with pytest.raises(OSError, match="full"):
        fill(error=True)
    assert (synced, folder.exists()) == ([], False)
    fill(error=False)
    assert synced == [(str(part / "b"), False), (str(tmp_path), True)]
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == {"b": b"12345"}
    assert not part.exists()
