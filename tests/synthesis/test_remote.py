"""Data sets on object storage, of a local S3 server: the bytes of a folder, also after kills and beside other runs."""

import json
import sys
from pathlib import Path

import pytest

from sos_mm.storage import ObjectStore
from sos_mm.synthesis import Recipe, remote, synthesize
from tests.helpers.commands import run
from tests.helpers.object_storage import s3_server
from tests.helpers.processes import run_killed
from tests.synthesis.test_synthesis import folder_hash

RECIPE = {
    "canvas": (48, 64),
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
    "formats": ["coco", "webdataset"],
}
NUM, SHARD = 3, 2


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Hash of the data set in a folder."""
    folder = tmp_path_factory.mktemp("remote") / "out"
    make(folder)
    return folder_hash(folder)


@pytest.fixture
def address(server, request):
    return f"s3://bucket/sets/{abs(hash(request.node.name))}"


def make(out, **more):
    options = {"seed": 3, "shard_size": SHARD, "progress": False, **more}
    return synthesize(Recipe.from_dict(RECIPE), out if isinstance(out, str) else Path(out), NUM, **options)


def hash_of(address: str, folder: Path) -> str:
    """That of all objects below the address, downloaded into a new folder."""
    store = ObjectStore(address)
    store.download({key: folder / key for key in store.sizes()})
    return folder_hash(folder)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_bytes_of_a_folder(address, whole, tmp_path, workers):
    neighbour = ObjectStore(address + "2")
    neighbour.create("other.txt", b"mine")
    report = make(address, workers=workers)
    assert (report.made, report.out) == (NUM, address)
    assert f"{address}: {NUM} images" in report.describe()
    assert hash_of(address, tmp_path / "copy") == whole
    assert make(address, verify=True).made == 0
    assert neighbour.sizes() == {"other.txt": 4}


@pytest.mark.slow
def test_made_by_ray(address, whole, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'sos_mm[ray]'")
    assert make(address, workers=2, executor="ray").made == NUM
    assert hash_of(address, tmp_path / "copy") == whole


def test_not_merged(address, tmp_path):
    make(tmp_path / "folder", merge="none")
    make(address, merge="none")
    assert hash_of(address, tmp_path / "copy") == folder_hash(tmp_path / "folder")
    with pytest.raises(ValueError, match="are merged later only in a folder: download the data set"):
        make(address)


class Killed(BaseException):
    """Stands for the end of the process: the store is not changed any more."""


def kill_at(patch, number: int) -> None:
    """Ends the run before its change of the store with this number; uploads and copies change it file by file."""
    done = []

    def count():
        done.append(0)
        if len(done) > number:
            raise Killed

    def one_by_one(name):
        original = getattr(ObjectStore, name)

        def stopping(self, objects):
            for each in sorted(objects):
                count()
                original(self, {each: objects[each]} if isinstance(objects, dict) else [each])

        patch.setattr(ObjectStore, name, stopping)

    def create(self, *arguments, original=ObjectStore.create):
        count()
        return original(self, *arguments)

    for name in ("upload", "copy", "remove"):
        one_by_one(name)
    patch.setattr(ObjectStore, "create", create)


@pytest.mark.slow
def test_killed_runs_go_on(server, whole, tmp_path, monkeypatch):
    """At every fifth change; without a manifest there is no data set, with one it is whole."""
    number, kills = 0, 0
    while True:
        address = f"s3://bucket/kills/{number}"
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                make(address)
            except Killed:
                kills += 1
            else:
                break
        store = ObjectStore(address)
        if store.exists("manifest.json"):
            lines = store.read("checksums.sha256").decode().splitlines()
            assert {line.split("  ")[1] for line in lines} <= store.sizes().keys()
        there = {key for key in store.sizes() if key.endswith("shard.json")}
        report = make(address)
        assert report.made <= max(NUM - SHARD * len(there), 0)
        assert hash_of(address, tmp_path / str(number)) == whole
        number += 5
    assert kills >= 6


@pytest.mark.slow
def test_a_killed_command_goes_on(address, whole, tmp_path):
    """With two workers, by SIGKILL to all of them, when a shard is there."""
    (tmp_path / "recipe.py").write_text("".join(f"{key} = {value!r}\n" for key, value in RECIPE.items()))
    words = ["synthesize", str(tmp_path / "recipe.py"), "--out", address, "--num", str(NUM), "--seed", "3"]
    words += ["--shard-size", str(SHARD)]
    run_killed([*words, "--workers", "2"], "sos_mm.synthesis.remote.RemoteRun._upload_shards", 1)
    assert any(key.endswith("shard.json") for key in ObjectStore(address).sizes(".shards"))
    assert run(words).code == 0
    assert hash_of(address, tmp_path / "copy") == whole


@pytest.mark.parametrize(
    "moment", ["copy", *(pytest.param(each, marks=pytest.mark.slow) for each in ("upload", "create"))]
)
def test_two_starters(address, whole, tmp_path, monkeypatch, moment):
    """The second one runs to its end in the middle of the first one, which then ends too."""
    original, ended = getattr(ObjectStore, moment), []

    def interrupted(self, *arguments):
        result = original(self, *arguments) if moment == "create" else None
        if not ended:
            ended.append(None)
            ended.append(make(address).images)
        return original(self, *arguments) if moment != "create" else result

    monkeypatch.setattr(ObjectStore, moment, interrupted)
    assert make(address).images == ended[1] == NUM
    monkeypatch.undo()
    assert make(address, verify=True).made == 0
    assert hash_of(address, tmp_path / "copy") == whole


def begin(address, patch) -> ObjectStore:
    """Makes all shards, and is killed before they are merged."""
    patch.setattr(remote, "merge_shards", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        make(address)
    patch.undo()
    return ObjectStore(address)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("#annotations.jsonl", b"{}\n"),
        pytest.param("shard.json", b"{}", marks=pytest.mark.slow),
        pytest.param("images/00000002.jpg", None, marks=pytest.mark.slow),
        pytest.param("#annotations.jsonl", None, marks=pytest.mark.slow),
    ],
)
def test_damaged_shards_are_made_again(address, whole, tmp_path, monkeypatch, capsys, name, content):
    store = begin(address, monkeypatch)
    key = next(key for key in store.sizes(".shards/000001") if key.endswith(name))
    store.remove([key])
    if content is not None:
        store.create(key, content)
    assert make(address).made == 1
    assert "1 shards are damaged and are made again" in capsys.readouterr().err
    assert hash_of(address, tmp_path / "copy") == whole


def test_other_runs_are_refused(address, monkeypatch):
    store = begin(address, monkeypatch)
    with pytest.raises(FileExistsError, match=r"belongs to another run .seed 3 instead of 4"):
        make(address, seed=4)
    with pytest.raises(FileExistsError, match="shard_size 2 instead of 3"):
        make(address, shard_size=3)
    with pytest.raises(FileExistsError, match="merge all instead of none"):
        make(address, merge="none")
    told = json.loads(store.read(".shards/run.json"))
    for change, message in (
        ({"libraries": {**told["libraries"], "numpy": "0.1"}}, "other versions .numpy .* instead of 0.1"),
        ({"code": "0"}, "the code of sos_mm differs"),
        ({"sources": {}}, "segments or backgrounds have changed"),
    ):
        store.remove([".shards/run.json"])
        store.create(".shards/run.json", json.dumps({**told, **change}).encode())
        with pytest.raises(FileExistsError, match=message):
            make(address)


def test_complete_ones_are_checked(address):
    make(address)
    store = ObjectStore(address)
    with pytest.raises(FileExistsError, match="belongs to another run"):
        make(address, seed=4)
    store.create(".shards/notes.txt", b"mine")
    content = store.read("images/00000001.jpg")
    store.remove(["images/00000001.jpg"])
    with pytest.raises(FileNotFoundError, match=r"1 files of the data set at .* are missing, images/00000001.jpg"):
        make(address)
    store.create("images/00000001.jpg", content[:-1])
    assert make(address).made == 0
    with pytest.raises(ValueError, match=r"are not what was written, images/00000001.jpg first"):
        make(address, verify=True)
    assert store.read(".shards/notes.txt") == b"mine"


def test_refusals(address, tmp_path, monkeypatch):
    ObjectStore(address).create("notes.txt", b"mine")
    with pytest.raises(FileExistsError, match=r"must be a new address.* but holds notes.txt"):
        make(address)
    forms = ("s3://bucket", "s3://", "s3:///x", "s3://bucket//x", "gs://bucket/x", "S3://bucket/x", "s3:/bucket/x")
    for wrong in forms:
        with pytest.raises(ValueError, match="must be as s3://bucket/prefix"):
            make(wrong)
    with pytest.raises(ValueError, match="`changed_sources` must be 'error'"):
        make(address, changed_sources="continue")
    with pytest.raises(FileNotFoundError, match=r"s3://missing/x has no such object or folder: .*bucket does not"):
        make("s3://missing/x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ImportError, match=r"pip install 'sos_mm\[s3\]'"):
        make(address)
    monkeypatch.undo()
    (tmp_path / "recipe.py").write_text("".join(f"{key} = {value!r}\n" for key, value in RECIPE.items()))
    words = ["synthesize", tmp_path / "recipe.py", "--out", address, "--num", "2"]
    refused = run([*words, "--report", tmp_path / "page"])
    assert (refused.code, "`--report` needs the data set in a folder" in refused.line) == (2, True)


def test_without_credentials(address, monkeypatch, tmp_path):
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ConnectionError, match=r"cannot be reached .*set AWS_ACCESS_KEY_ID"):
        make(address)
    s3fs.S3FileSystem.clear_instance_cache()
