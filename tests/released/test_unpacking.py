"""Archives: volumes that belong together, members that are refused, unpacking that is continued, damage."""

import io
import os
import stat
from pathlib import Path

import pytest

from sos_mm.released.archives import ProgramArchive, PythonArchive, choose_unpacker, find_program
from sos_mm.released.unpacking import Member, check_members, unpack
from sos_mm.released.volumes import VolumeFile, group_volumes
from sos_mm.space import check_space
from tests.released.sets import content_of, pack, segment_files, split

py7zr = pytest.importorskip("py7zr")
FILES = segment_files() | {"segments/empty.txt": b""}
READERS = [
    "py7zr",
    pytest.param(
        "7z",
        marks=pytest.mark.skipif(
            not find_program(), reason="needs the program 7-Zip, which tools/run_tests.sh fetches"
        ),
    ),
]


def write_volumes(folder: Path, volumes: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in volumes.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in volumes]


def opened(paths: list[Path], reader: str = "py7zr"):
    if reader == "7z":
        return ProgramArchive("set.7z", paths, find_program())
    return PythonArchive("set.7z", VolumeFile([path.stat().st_size for path in paths], paths.__getitem__))


@pytest.fixture(params=[True, False], ids=["solid", "blocks"])
def volumes(request, tmp_path):
    return write_volumes(tmp_path / "cache", split("set.7z", pack(FILES, request.param)))


@pytest.mark.parametrize("reader", READERS)
def test_members_are_unpacked(volumes, tmp_path, reader):
    assert len(volumes) > 2
    archive = opened(volumes, reader)
    members = list(check_members(archive.members(), "set.7z"))
    assert {member.path: member.size for member in members} == {path: len(content) for path, content in FILES.items()}
    assert unpack(archive, members, tmp_path / "out", progress=False) == len(FILES)
    assert content_of(tmp_path / "out") == FILES
    assert unpack(opened(volumes, reader), members, tmp_path / "out", progress=False) == 0


@pytest.mark.parametrize("reader", READERS)
def test_what_is_there_is_not_unpacked_again(volumes, tmp_path, reader):
    out, names = tmp_path / "out", sorted(FILES)
    for name in names[:5]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(FILES[name])
    half = out / names[5]
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(FILES[names[5]][:10])
    before = (out / names[0]).stat().st_ino
    archive = opened(volumes, reader)
    assert unpack(archive, list(archive.members()), out, progress=False) == len(FILES) - 5
    assert content_of(out) == FILES
    assert (out / names[0]).stat().st_ino == before


@pytest.mark.parametrize("reader", READERS)
def test_only_chosen_members(volumes, tmp_path, reader):
    archive = opened(volumes, reader)
    chosen = [member for member in archive.members() if "/dog/" in member.path]
    assert unpack(archive, chosen, tmp_path / "out", complete=False, progress=False) == 5
    assert content_of(tmp_path / "out") == {path: data for path, data in FILES.items() if "/dog/" in path}


def test_what_an_earlier_process_left_in_the_staging_folder(volumes, tmp_path):
    """Whole files are moved, the others removed."""
    out, names = tmp_path / "out", sorted(FILES)
    for name, content in ((names[0], FILES[names[0]]), (names[1], FILES[names[1]][:-1]), (names[2], b"")):
        (out / ".unpacking" / name).parent.mkdir(parents=True, exist_ok=True)
        (out / ".unpacking" / name).write_bytes(content)
    changed = bytearray(FILES[names[3]])
    changed[9] ^= 1
    (out / ".unpacking" / names[3]).parent.mkdir(parents=True, exist_ok=True)
    (out / ".unpacking" / names[3]).write_bytes(changed)
    archive = opened(volumes)
    assert unpack(archive, list(archive.members()), out, progress=False) == len(FILES) - 1
    assert content_of(out) == FILES
    assert not (out / ".unpacking").exists()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("../out.png", r"files below one folder, but holds '\.\./out\.png'"),
        ("/etc/x.png", "files below one folder"),
        ("a/../../x.png", "files below one folder"),
        ("a\\x.png", "files below one folder"),
        ("C:/x.png", "files below one folder"),
        ("a\nb.png", "files below one folder"),
        ("", "files below one folder"),
        (".unpacking/x.png", "files below one folder"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path, match):
    with pytest.raises(ValueError, match=match):
        list(check_members([Member("a/good.png", 1), Member(path, 1)], "set.7z"))


def test_links_and_repeated_names_are_refused():
    with pytest.raises(ValueError, match="'a/link' is a link"):
        list(check_members([Member("a/link", 1, is_link=True)], "set.7z"))
    with pytest.raises(ValueError, match=r"'a/b\.png' is there twice"):
        list(check_members([Member("a/b.png", 1), Member("a/b.png", 2)], "set.7z"))


@pytest.mark.parametrize("reader", READERS)
def test_links_in_an_archive_are_seen(tmp_path, reader):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"x")
    os.symlink("/etc/passwd", tmp_path / "source" / "link")
    with py7zr.SevenZipFile(tmp_path / "set.7z", "w") as archive:
        archive.writeall(tmp_path / "source", "a")
    members = {member.path: member.is_link for member in opened([tmp_path / "set.7z"], reader).members()}
    assert members == {"a/file": False, "a/link": True}


@pytest.mark.parametrize("reader", READERS)
def test_names_that_lead_out_in_an_archive_are_refused(tmp_path, reader):
    """The archive is made by writing another name of the same length into its header."""
    packed = pack({"segments/x/y.png": b"hello"})
    with py7zr.SevenZipFile(io.BytesIO(packed)) as archive:
        archive.header.files_info.files[0]["filename"] = "../../out/x/y.png"
        member = next(PythonArchive.members(type("Open", (), {"_archive": archive})))
    with pytest.raises(ValueError, match="files below one folder"):
        list(check_members([member], "set.7z"))
    evil = tmp_path / "evil.7z"
    with py7zr.SevenZipFile(evil, "w") as archive:
        archive.writestr(b"hello", "aaa/evil.png")
        archive.files[0]._file_info["filename"] = "../evil.png"
    found = opened([evil], reader)
    with pytest.raises(ValueError, match=r"files below one folder, but holds '\.\./evil\.png'"):
        list(check_members(found.members(), "evil.7z"))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("solid", [True, False])
def test_damaged_content_is_found_and_no_damaged_file_stays(tmp_path, reader, solid):
    packed = bytearray(pack(FILES, solid))
    middle = len(packed) // 2
    packed[middle : middle + 8] = bytes(value ^ 0xFF for value in packed[middle : middle + 8])
    volumes = write_volumes(tmp_path / "cache", split("set.7z", bytes(packed)))
    archive = opened(volumes, reader)
    with pytest.raises(ValueError, match=r"The archive set\.7z cannot be read"):
        unpack(archive, list(archive.members()), tmp_path / "out", progress=False)
    unpacked = {path: data for path, data in content_of(tmp_path / "out").items() if not path.startswith(".")}
    assert unpacked.items() <= FILES.items()
    assert 0 < len(unpacked) < len(FILES) or solid


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", ["listing", "no archive", "cut", "empty"])
def test_damaged_archives_are_named(tmp_path, reader, change):
    packed = pack(FILES)
    contents = {
        "listing": packed[:-20] + bytes(20),
        "no archive": b"PK" + packed[2:],
        "cut": packed[: len(packed) // 2],
        "empty": b"",
    }
    (path,) = write_volumes(tmp_path, {"set.7z": contents[change]})
    with pytest.raises(ValueError, match=r"The archive set\.7z cannot be read"):
        list(opened([path], reader).members())


def test_a_full_disk_is_named_and_unpacking_goes_on_later(volumes, tmp_path, monkeypatch):
    """The disk has room for two further files; each is written in the staging folder."""
    out, real, written = tmp_path / "out", Path.open, []

    def full(path, mode="r", *args, **kwargs):
        if path.name == "part" and "w" in mode:
            written.append(path)
            if len(written) > 2:
                raise OSError(28, "No space left on device")
        return real(path, mode, *args, **kwargs)

    archive = opened(volumes)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(OSError, match=r"disk of .*out became full while set\.7z .* goes on where it stopped"):
            unpack(archive, list(archive.members()), out, progress=False)
    archive = opened(volumes)
    assert unpack(archive, list(archive.members()), out, progress=False) == len(FILES) - 2
    assert content_of(out) == FILES


def test_space_is_asked_for_with_figures(tmp_path, monkeypatch):
    def usage(free):
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))

    usage(10_000)
    check_space({tmp_path / "a" / "b": 4000, tmp_path / "c": 6000}, "It")
    with pytest.raises(OSError, match=r"It needs 10\.0 kB on the disk of .*, but 10\.0 kB are free: free 1 B"):
        check_space({tmp_path / "a": 4000, tmp_path / "c": 6001}, "It")
    usage(2)
    members = [Member("a.png", 5)]
    with pytest.raises(OSError, match=r"Unpacking set\.7z needs 5 B on the disk"):
        unpack(type("Archive", (), {"name": "set.7z"}), members, tmp_path / "out")


def test_volumes_are_grouped():
    names = [f"a.7z.{number:03}" for number in (2, 1, 3)] + ["b/c.7z", "metadata.json", "d.7z.1000"]
    with pytest.raises(ValueError, match=r"archive d\.7z must be complete, but its volume 001 is missing"):
        group_volumes(names)
    expected = {"a.7z": [f"a.7z.{number:03}" for number in (1, 2, 3)], "b/c.7z": ["b/c.7z"]}
    assert group_volumes(names[:-1]) == expected
    assert group_volumes(["a.7z.000", "a.7z.001"]) == {"a.7z": ["a.7z.000", "a.7z.001"]}
    with pytest.raises(ValueError, match=r"its volume 002 is missing \(there is a\.7z\.001, a\.7z\.003"):
        group_volumes(["a.7z.001", "a.7z.003"])


def test_volumes_are_read_as_one_file(tmp_path):
    content = bytes(range(100))
    paths = write_volumes(tmp_path, split("a.7z", content, 30))
    read = []

    def path_of(index):
        read.append(index)
        return paths[index]

    file = VolumeFile([30, 30, 30, 10], path_of)
    for start in range(0, 101, 7):
        for length in (1, 29, 30, 31, 200):
            file.seek(start)
            assert read_all(file, length) == content[start : start + length]
    assert file.seek(-5, io.SEEK_END) == 95
    assert file.holding(0, 30) == range(0, 1)
    assert file.holding(29, 31) == range(0, 2)
    assert file.holding(30, 31) == range(1, 2)
    assert file.holding(0, 100) == range(0, 4)
    assert list(file.holding(5, 5)) == []
    read.clear()
    file.seek(95)
    file.read(3)
    assert read in ([3], [])
    paths[0].write_bytes(b"")
    file.seek(0)
    with pytest.raises(ValueError, match=r"a\.7z\.001 is shorter than it should be"):
        file.read(1)


def read_all(file, length):
    found = b""
    while len(found) < length and (block := file.read(length - len(found))):
        found += block
    return found


def test_needed_volumes_are_those_of_the_chosen_blocks(tmp_path):
    """In an archive of one block for each category, others are not needed; in a solid one all up to the end are."""
    for solid in (True, False):
        volumes = write_volumes(tmp_path / str(solid), split("set.7z", pack(FILES, solid), 4000))
        archive = opened(volumes)
        dogs = [member for member in archive.members() if "/dog/" in member.path]
        needed = archive.needed_volumes(dogs)
        assert (len(needed) >= len(volumes) - 1) if solid else (0 < len(needed) < len(volumes) / 2)
        # Reading them needs no other, apart from the listing.
        for index, path in enumerate(volumes):
            if index not in needed and index not in (0, len(volumes) - 1):
                path.unlink()
        assert unpack(archive, dogs, tmp_path / f"out{solid}", complete=False, progress=False) == 5


def test_choice_of_the_unpacker(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: "/bin/7zz" if name == "7zz" else None)
    assert [choose_unpacker(each) for each in ("auto", "7z", "py7zr")] == ["/bin/7zz", "/bin/7zz", None]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert choose_unpacker("auto") is None
    with pytest.raises(FileNotFoundError, match=r"needs the program 7-Zip .* install it"):
        choose_unpacker("7z")
    with pytest.raises(ValueError, match="`unpack_with` must be one of"):
        choose_unpacker("rar")


def test_missing_library_names_the_extra(volumes, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(ImportError, match=r"pip install 'sos_mm\[hub\]'"):
        opened(volumes)


def test_unpacked_files_can_be_read_by_all_as_the_umask_allows(volumes, tmp_path):
    archive = opened(volumes)
    unpack(archive, list(archive.members()), tmp_path / "out", progress=False)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out" / "segments" / "empty.txt").stat().st_mode) == 0o666 & ~mask
