"""Segments and backgrounds on object storage, of a local S3 server: as in a folder, also after kills and changes."""

import json
import pickle
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sos_mm import local_copies
from sos_mm.composition.backgrounds.factory import build_backgrounds
from sos_mm.local_copies import cache_folder, local_copy
from sos_mm.segments import build_index
from sos_mm.segments.factory import build_bank
from sos_mm.segments.sample import SAMPLE_FOLDER
from sos_mm.storage import ObjectStore
from sos_mm.synthesis import Recipe, executors, synthesize
from sos_mm.synthesis.making import ShardMaker
from tests.helpers.object_storage import s3_server

NAMES = ("apple", "banana", "cat")


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SOS_MM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def segments(tmp_path) -> Path:
    """Folder of a few segments."""
    for name in NAMES:
        shutil.copytree(SAMPLE_FOLDER / "segments" / name, tmp_path / "segments" / name)
    return tmp_path / "segments"


def uploaded(folder: Path, name: str) -> str:
    """Puts the files of a folder to a new address, which is returned."""
    store = ObjectStore(f"s3://bucket/{abs(hash(folder))}/{name}")
    store.upload({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})
    return store.address


@pytest.fixture
def copied(monkeypatch) -> list[str]:
    """Keys that were copied, in their order."""
    keys, original = [], local_copies._Mirror._keep

    def keep(self, path, key, each):
        original(self, path, key, each)
        keys.append(key)

    monkeypatch.setattr(local_copies._Mirror, "_keep", keep)
    return keys


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their relative paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fingerprint(**bank) -> str:
    return build_bank(bank).fingerprint


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_data_set_of_both(server, segments, tmp_path, workers):
    """From segments and backgrounds on object storage; its files are those of a data set from folders."""
    photos = shutil.copytree(segments, tmp_path / "photos")
    sources = {"local": (str(segments), str(photos)), "remote": (uploaded(segments, "a"), uploaded(photos, "b"))}
    made, manifests = [], []
    for name, (root, backgrounds) in sources.items():
        recipe = Recipe(
            canvas=(64, 64),
            segments={"type": "folder", "root": root},
            backgrounds={"type": "folder", "root": backgrounds},
            formats=["coco"],
        )
        synthesize(recipe, tmp_path / name, 3, workers=workers, shard_size=2, progress=False)
        files = content(tmp_path / name)
        manifests.append(json.loads(files.pop("manifest.json")))
        made.append(files)
    assert made[0] == made[1]
    assert len(made[0]) > 3
    assert manifests[0]["sources"] == manifests[1]["sources"]
    assert manifests[1]["recipe"]["segments"]["root"] == sources["remote"][0]


def test_other_processes_open_the_copies(server, segments, tmp_path, monkeypatch):
    """They get a recipe with the paths of the copies, and do not ask the store again."""
    address = uploaded(segments, "segments")
    bank = {"type": "mix", "banks": [{"type": "folder", "root": address}, {"type": "sample"}]}
    recipe = Recipe(canvas=(64, 64), segments=bank, backgrounds={"type": "folder", "root": address})
    maker = ShardMaker(recipe, 0)
    assert maker.recipe is recipe
    monkeypatch.setattr(local_copies, "_Mirror", lambda address: pytest.fail(f"asks for {address} again"))
    given = []

    def pool(workers, start, initial, kept):
        given.extend(initial)
        raise InterruptedError

    monkeypatch.setattr(executors, "worker_pool", pool)
    with pytest.raises(InterruptedError):
        next(executors.run_processes(maker, tmp_path / "out", {0: range(1), 1: range(1, 2)}, workers=2))
    other = ShardMaker(*pickle.loads(pickle.dumps(given[:3])))
    assert other.sources == maker.sources
    np.testing.assert_array_equal(other.scenes.make(0).image, maker.scenes.make(0).image)


def test_other_types_of_banks(server, segments, tmp_path):
    folder = {"type": "folder", "root": str(segments)}
    build_index(build_bank(folder).records, tmp_path / "banks" / "bank.arrow", copies=(32,), progress=False)
    (tmp_path / "banks" / "other.32.copies").write_bytes(b"another bank's")
    address = uploaded(tmp_path / "banks", "banks")
    bank = build_bank({"type": "index", "path": f"{address}/bank.arrow", "root": uploaded(segments, "segments")})
    assert bank.fingerprint == fingerprint(type="index", path=tmp_path / "banks" / "bank.arrow")
    assert bank.records.pack.parent == bank.records.path.parent != tmp_path / "banks"
    assert not (bank.records.path.parent / "other.32.copies").exists()
    assert Path(bank.file(0)).is_relative_to(cache_folder())
    assert (bank.load(0).rgba == build_bank(folder).load(0).rgba).all()

    shards = tmp_path / "shards"
    for number, name in enumerate(NAMES):
        (shards / str(number)).mkdir(parents=True)
        with tarfile.open(shards / str(number) / f"part-{number}.tar", "w") as shard:
            shard.add(segments / name, name)
    address = uploaded(shards, "shards")
    names = [f"{number}/part-{number}.tar" for number in range(len(NAMES))]
    assert fingerprint(type="tar", shards=[f"{address}/{name}" for name in names]) == fingerprint(
        type="tar", shards=[str(shards / name) for name in names]
    )
    assert fingerprint(type="tar", shards=f"{address}/1/part-*.tar") == fingerprint(
        type="tar", shards=str(shards / "1" / "*.tar")
    )


def test_only_what_has_changed_is_copied(server, segments, copied):
    address = uploaded(segments, "segments")
    root = local_copy(address)
    assert content(root) == content(segments)
    assert sorted(copied) == sorted(content(segments))
    copied.clear()
    assert local_copy(f"{address}/") == root
    assert copied == []

    store, changed = ObjectStore(address), sorted(content(segments))
    store.remove(changed[:2])
    store.create(changed[1], bytes(len((segments / changed[1]).read_bytes())))  # Of the same size.
    store.create("new/one.png", b"new")
    (root / changed[2]).write_bytes(b"damaged")
    local_copy(address)
    assert sorted(copied) == sorted([changed[1], changed[2], "new/one.png"])
    wanted = content(segments) | {changed[1]: bytes(len(content(segments)[changed[1]])), "new/one.png": b"new"}
    del wanted[changed[0]]
    assert content(root) == wanted


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_copies_go_on(server, segments, copied, monkeypatch):
    """After each object in turn; what was copied is not copied again, but for those of which nothing was noted."""
    monkeypatch.setattr(local_copies, "_BATCH", 2)
    address, keep = uploaded(segments, "segments"), local_copies._Mirror._keep
    number = len(content(segments))
    for kept in range(number):
        shutil.rmtree(cache_folder(), ignore_errors=True)
        copied.clear()

        def stopping(self, path, key, each, kept=kept):
            if len(copied) == kept:
                path.write_bytes(b"half")
                raise Killed
            keep(self, path, key, each)

        monkeypatch.setattr(local_copies._Mirror, "_keep", stopping)
        with pytest.raises(Killed):
            local_copy(address)
        noted = next(cache_folder().glob("*/copied.jsonl"))
        noted.write_text(noted.read_text()[:-3])  # The end of the last line did not reach the disk.
        monkeypatch.setattr(local_copies._Mirror, "_keep", keep)
        root = local_copy(address)
        assert content(root) == content(segments)
        assert number <= len(copied) <= number + 1
        assert not (root.parent / "scratch").exists()


def test_a_pattern_stands_for_names_in_its_folder_that_are_there(server, tmp_path):
    folder = tmp_path / "parts"
    (folder / "part-old").mkdir(parents=True)
    for name in ("part-1.tar", "part-2.tar", "part-old/x.tar", "other.tar"):
        (folder / name).write_bytes(name.encode())
    address = uploaded(folder, "parts")
    pattern = local_copy(f"{address}/part-*.tar")
    assert sorted(content(pattern.parent)) == ["part-1.tar", "part-2.tar"]
    local_copy(f"{address}/other.tar")
    ObjectStore(address).remove(["part-2.tar"])
    assert local_copy(f"{address}/part-*.tar") == pattern
    assert sorted(content(pattern.parent)) == ["other.tar", "part-1.tar"]


@pytest.mark.parametrize("key", ["../x.png", "a//x.png", "/x.png", "a/./x.png"])
def test_objects_outside_their_folder_are_refused(key, tmp_path):
    mirror = local_copies._Mirror("memory://bucket/segments")
    with pytest.raises(ValueError, match="cannot be the path of a file: rename it"):
        mirror._object(f"/bucket/segments/{key}", key, {"size": 1, "created": "now"})


@pytest.mark.parametrize("facts", [{"size": None, "ETag": "1"}, {"size": 3}])
def test_objects_whose_changes_cannot_be_seen_are_refused(facts):
    mirror = local_copies._Mirror("memory://bucket/segments")
    with pytest.raises(ValueError, match="changes would not be seen: copy them to a folder"):
        mirror._object("/bucket/segments/x.png", "x.png", facts)


def test_changes_meanwhile_are_told(server, segments, monkeypatch):
    address, keep = uploaded(segments, "segments"), local_copies._Mirror._keep

    def changing(self, path, key, each):
        keep(self, path, key, each)
        ObjectStore(address).create("another.png", b"new")

    monkeypatch.setattr(local_copies._Mirror, "_keep", changing)
    with pytest.raises(OSError, match="changed while they were copied: run it again"):
        local_copy(address)


def test_refusals(server, segments, tmp_path, monkeypatch):
    address = uploaded(segments, "segments")
    for missing in ("s3://missing/segments", f"{address}/nothing", f"{address}/*.tar"):
        with pytest.raises(FileNotFoundError, match="s3://"):
            build_bank({"type": "tar", "shards": missing})
    with pytest.raises(FileNotFoundError, match=rf"no object at {address}/b\.tar"):
        build_bank({"type": "tar", "shards": [f"{address}/b.tar"]})
    with pytest.raises(ValueError, match="must all be paths or all be addresses"):
        build_bank({"type": "tar", "shards": [f"{address}/a.tar", "b.tar"]})
    with pytest.raises(ValueError, match="must be in one bucket"):
        build_bank({"type": "tar", "shards": ["s3://one/a.tar", "s3://other/b.tar"]})
    with pytest.raises(ValueError, match="nosuch://x/y must be an address that fsspec knows"):
        build_bank({"type": "folder", "root": "nosuch://x/y"})
    for wrong in ("S3://bucket/segments", "s3:/bucket/segments", "s3://", "s3:///"):
        with pytest.raises(ValueError, match="must be as s3://bucket/prefix"):
            build_bank({"type": "folder", "root": wrong})
        with pytest.raises(ValueError, match="must be as s3://bucket/prefix"):
            build_bank({"type": "tar", "shards": [f"{wrong}/a.tar"]})
        with pytest.raises(ValueError, match="must be as s3://bucket/prefix"):
            build_backgrounds({"type": "folder", "root": wrong})
    with pytest.raises(FileNotFoundError, match="s3://bucket/nothing has no such object or folder"):
        build_backgrounds({"type": "folder", "root": "s3://bucket/nothing"})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
        with pytest.raises(OSError, match=r"Copying s3://.* needs .* on the disk of"):
            local_copy(address)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "s3fs", None)
        patch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
        with pytest.raises(ImportError, match=r"pip install 'sos_mm\[s3\]'"):
            local_copy(address)
        patch.setitem(sys.modules, "fsspec.core", None)
        with pytest.raises(ImportError, match=r"needs `fsspec.core`.*pip install 'sos_mm\[s3\]'"):
            local_copy(address)


def test_an_address_of_the_service_that_is_none(server, segments, monkeypatch):
    import s3fs

    address = uploaded(segments, "segments")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(
        ConnectionError, match=r"s3://.* cannot be reached \(Invalid endpoint: nonsense\).*AWS_ENDPOINT_URL"
    ):
        local_copy(address)
    with pytest.raises(ConnectionError, match=r"cannot be reached \(Invalid endpoint: nonsense\)"):
        ObjectStore(address).sizes()
    s3fs.S3FileSystem.clear_instance_cache()


def test_without_credentials(server, segments, monkeypatch, tmp_path):
    import s3fs

    address = uploaded(segments, "segments")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises((ConnectionError, PermissionError), match=r"set AWS_ACCESS_KEY_ID"):
        local_copy(address)
    s3fs.S3FileSystem.clear_instance_cache()
