"""The command `sos-mm download` against a local hub: both kinds of sets, choices, refusals, killed and resumed runs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sos_mm.cli import main
from sos_mm.locks import sole_run
from sos_mm.released import CATALOGUE, find_set
from sos_mm.released.archives import find_program
from sos_mm.released.state import LOCK
from sos_mm.segments import build_bank
from sos_mm.synthesis import Recipe, SceneMaker
from tests.released.server import Hub, Repository, damages, fails
from tests.released.sets import (
    COMPOSED,
    SEGMENTS,
    VISUALIZATION,
    content_of,
    metadata,
    pack,
    segment_files,
    segments_set,
    split,
    visualization_set,
)

pytest.importorskip("huggingface_hub.file_download")
pytest.importorskip("py7zr")
SOLID, BLOCKS, SMALL = segments_set(), segments_set(solid=False), visualization_set()
MEMBERS = segment_files()
YES = "--accept-no-licence"


@pytest.fixture
def hub():
    sets = {SEGMENTS: Repository(BLOCKS, {}), "someone/solid": Repository(SOLID), VISUALIZATION: Repository(SMALL)}
    with Hub(sets) as hub:
        yield hub


@pytest.fixture
def download(hub, fresh_hub, tmp_path, monkeypatch, capsys):
    """Runs the command in this process, with py7zr unless told otherwise; returns what it printed."""
    # The library reads its settings when it is imported.
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template)
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download", "sos_mm.released.hub"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(**{**vars(time), "sleep": lambda _: None}))

    def run(name, *options, code=0, unpack_with="py7zr"):
        command = ["download", name, "--out", str(tmp_path / "out"), "--unpack-with", unpack_with, *options]
        if code:
            with pytest.raises(SystemExit) as ended:
                main(command)
            assert ended.value.code == code
        else:
            main(command)
        return capsys.readouterr()

    return run


def banks(printed: str) -> list[dict]:
    """The banks that the command prints, as a recipe reads them."""
    lines = [line.removeprefix("segments = ") for line in printed.splitlines() if line.startswith("segments = ")]
    return [eval(line, {"dict": dict}) for line in lines]


def unpacked(out: Path) -> dict[str, bytes]:
    return {path: content for path, content in content_of(out).items() if path.startswith("segments/")}


def composes(recipe_dict: dict, bank: dict) -> None:
    """A recipe makes an image with objects of the bank."""
    maker = SceneMaker(Recipe.from_dict({**recipe_dict, "segments": bank}), 0)
    scene = maker.make(0)
    assert scene.image.shape == (80, 96, 3)
    assert {each.category for each in scene.objects} <= {"apple", "dog", "zebra"}
    assert scene.objects


def test_small_set_composes(download, tmp_path, recipe_dict):
    (bank,) = banks(download("visualization", YES).out)
    assert bank == {"type": "parquet", "files": f"{tmp_path}/out/data/*.parquet"}
    assert content_of(tmp_path / "out") == SMALL
    opened = build_bank(bank)
    assert (len(opened), opened.categories) == (14, ("apple", "dog", "zebra"))
    composes(recipe_dict, bank)


@pytest.mark.parametrize("name", ["fc-segments", "SOC-FC-Object-Segments-10M", "someone/solid"])
def test_archives_become_a_bank_in_the_release_layout(download, tmp_path, recipe_dict, name):
    (bank,) = banks(download(name, YES).out)
    out = tmp_path / "out"
    assert bank == {"type": "release", "root": f"{out}/segments", "metadata": f"{out}/fc_metadata.json"}
    assert unpacked(out) == MEMBERS
    assert len(build_bank(bank)) == len(MEMBERS)
    composes(recipe_dict, bank)


@pytest.mark.skipif(not find_program(), reason="needs the program 7-Zip, which tools/run_tests.sh fetches")
def test_the_program_unpacks_the_same(download, tmp_path):
    (bank,) = banks(download("fc-segments", YES, unpack_with="7z").out)
    assert unpacked(tmp_path / "out") == MEMBERS
    assert len(build_bank(bank)) == len(MEMBERS)


def test_a_second_run_downloads_and_unpacks_nothing(hub, download, tmp_path):
    first = download("fc-segments", YES)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.name != "download.json"}
    hub.requests.clear()
    second = download("fc-segments", YES)
    assert second.out == first.out
    assert [(method, path.split("/")[1]) for method, path, _ in hub.requests] == [("GET", "api")]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_archives_may_be_removed_from_the_cache(hub, download, tmp_path):
    told = download("fc-segments", YES)
    assert "of archives stay in" in told.err
    told = download("fc-segments", YES, "--remove-archives")
    assert "of archives stay in" not in told.err
    assert not list((tmp_path / "cache").rglob("*.7z.*"))
    blobs = {path.name: path.stat().st_size for path in (tmp_path / "cache").rglob("blobs/*")}
    assert sum(blobs.values()) < 2000
    hub.requests.clear()
    assert len(banks(download("fc-segments", YES).out)) == 1
    assert not hub.downloads("7z")


def test_chosen_categories_need_only_their_volumes(hub, download, tmp_path, recipe_dict):
    (bank,) = banks(download("fc-segments", YES, "--categories", "dog").out)
    assert unpacked(tmp_path / "out") == {path: data for path, data in MEMBERS.items() if "/dog/" in path}
    volumes = [path for path in BLOCKS if ".7z." in path]
    fetched = {path.split("/")[2] for path, _ in hub.downloads("7z")}
    assert {volumes[0], volumes[-1]} <= fetched < set(volumes)
    assert bank["allow_missing"] is True
    assert build_bank(bank).categories == ("dog",)
    composes(recipe_dict, bank)
    # Another one later: the first stays.
    (bank,) = banks(download("fc-segments", YES, "--categories", "Apple", "dog").out)
    assert build_bank(bank).categories == ("apple", "dog")
    assert json.loads((tmp_path / "out" / "download.json").read_text())["unpacked"] == {
        "fc_segments.7z": ["Apple", "dog"]
    }
    (bank,) = banks(download("fc-segments", YES).out)
    assert unpacked(tmp_path / "out") == MEMBERS
    assert bank == {key: value for key, value in bank.items() if key != "allow_missing"}


def test_chosen_categories_of_a_table_are_its_vocabulary(download, recipe_dict):
    (bank,) = banks(download("visualization", YES, "--categories", "dog", "zebra").out)
    assert bank["vocabulary"] == ["dog", "zebra"]
    assert build_bank(bank).categories == ("dog", "zebra")


def test_files_in_folders_by_category_are_chosen(hub, download, tmp_path):
    """A data set whose segments are files of their own, and one with an archive for each category."""
    hub.repositories["a/files"] = Repository({**MEMBERS, "words.json": metadata()}, {"license": "cc0-1.0"})
    (bank,) = banks(download("a/files", "--categories", "dog").out)
    assert unpacked(tmp_path / "out") == {path: data for path, data in MEMBERS.items() if "/dog/" in path}
    assert build_bank(bank).categories == ("dog",)


def test_archives_by_category_are_chosen(hub, download, tmp_path):
    archives = {}
    for category in ("apple", "dog", "zebra"):
        members = {path: data for path, data in MEMBERS.items() if f"/{category}/" in path}
        archives |= split(f"{category}.7z", pack(members))
    hub.repositories["a/packs"] = Repository({**archives, "words.json": metadata()}, {"license": "cc0-1.0"})
    (bank,) = banks(download("a/packs", "--categories", "zebra", "dog").out)
    assert not hub.downloads("apple")
    assert build_bank(bank).categories == ("dog", "zebra")


@pytest.mark.parametrize("name", ["fc-segments", "someone/solid"])
def test_unknown_categories_are_named(download, name):
    told = download(name, YES, "--categories", "dog", "unicorn", code=2)
    assert "`categories` names 'unicorn', but" in told.err
    assert "it has 'apple', 'dog', 'zebra'." in told.err
    # Not only the first time.
    assert "names 'unicorn'" in download(name, YES, "--categories", "dog", "unicorn", code=2).err


def test_composed_sets_have_no_categories(hub, download):
    told = download("fc-1m", YES, "--categories", "dog", code=2)
    assert "for sets of segments, but fc-1m holds 1 million composed images" in told.err
    assert not hub.requests


def test_composed_sets_are_unpacked_without_a_bank(hub, download, tmp_path):
    files = {"train/000001.jpg": b"\xff\xd8 image", "annotations/panoptic_train.json": b"{}"}
    hub.repositories[COMPOSED] = Repository(split("set.7z", pack(files)))
    told = download("fc-1m", YES)
    assert f"no bank of segments was found; the files are in {tmp_path}/out" in told.out
    assert content_of(tmp_path / "out") == files


def test_a_missing_licence_must_be_accepted(hub, download, tmp_path):
    told = download("visualization", code=2)
    assert "licence: none named" in told.err
    assert "names no licence" in told.err
    assert "--accept-no-licence" in told.err
    assert not content_of(tmp_path / "out")
    assert len(hub.requests) == 1
    hub.repositories[VISUALIZATION].card = {"license": "cc-by-4.0"}
    assert "licence: cc-by-4.0" in download("visualization").err


@pytest.mark.parametrize(("free", "name"), [(50_000, "visualization"), (100_000, "fc-segments")])
def test_too_little_space_is_refused_before_the_download(hub, download, monkeypatch, tmp_path, free, name):
    sizes = {path: len(data) for path, data in {"visualization": SMALL, "fc-segments": BLOCKS}[name].items()}
    archived = sum(size for path, size in sizes.items() if ".7z." in path)
    needed = sum(size for path, size in sizes.items() if path != ".gitattributes") + archived
    assert needed > free
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    told = download(name, YES, code=2)
    assert f"needs {needed / 1000:.1f} kB on the disk of {tmp_path}" in told.err
    assert f"{free / 1000:.1f} kB are free: free {(needed - free) / 1000:.1f} kB" in told.err
    assert not hub.downloads("")


def test_what_is_unpacked_already_needs_no_space(download, monkeypatch, tmp_path):
    """A run that was stopped while it unpacked goes on with room for the rest alone."""
    download("fc-segments", YES)
    record = tmp_path / "out" / "download.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"unpacked": {}}))
    removed = sorted((tmp_path / "out").rglob("dog/*/*.png"))
    rest = sum(path.stat().st_size for path in removed)
    for path in removed:
        path.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=rest - 1))
    assert f"Unpacking fc_segments.7z needs {rest / 1000:.1f} kB" in download("fc-segments", YES, code=2).err
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=rest))
    assert f"{len(removed)} of them unpacked now" in download("fc-segments", YES).err
    assert unpacked(tmp_path / "out") == MEMBERS


def test_a_missing_volume_is_named_before_the_download(hub, download):
    files = {path: data for path, data in BLOCKS.items() if not path.endswith(".002")}
    hub.repositories[SEGMENTS] = Repository(files)
    told = download("fc-segments", YES, code=2)
    assert "The archive fc_segments.7z must be complete, but its volume 002 is missing" in told.err
    assert not hub.downloads("")


def test_a_damaged_volume_is_downloaded_again(hub, download, tmp_path):
    hub.script("GET", r"^/cdn/.*\.002/", [damages])
    assert "fc_segments.7z.002 arrived damaged" in download("fc-segments", YES).err
    assert unpacked(tmp_path / "out") == MEMBERS


def test_an_archive_that_is_damaged_at_its_source(hub, download, tmp_path):
    whole = bytearray(pack(MEMBERS))
    whole[len(whole) // 2] ^= 0xFF
    hub.repositories["a/damaged"] = Repository(split("set.7z", bytes(whole)), {"license": "cc0-1.0"})
    told = download("a/damaged", code=2)
    assert "error: The archive set.7z cannot be read" in told.err
    assert unpacked(tmp_path / "out").items() <= MEMBERS.items()


def test_one_folder_holds_one_set(hub, download):
    download("visualization", YES)
    number = len(hub.requests)
    assert f"holds {VISUALIZATION}, but {SEGMENTS} is asked for: choose another" in download("fc-segments", code=2).err
    assert len(hub.requests) == number


def test_a_folder_keeps_its_commit(hub, download, tmp_path):
    """The branch moves on between two runs: the files of two commits are not mixed."""
    first = hub.repositories[VISUALIZATION]
    download("visualization", YES)
    moved = hub.repositories[VISUALIZATION] = Repository({**SMALL, "README.md": b"new"})
    moved.earlier[first.commit] = first
    assert f"at {first.commit[:12]}: 3 files" in download("visualization", YES).err
    assert content_of(tmp_path / "out") == SMALL
    told = download("visualization", YES, "--revision", "main", code=2)
    assert f"holds {VISUALIZATION} at {first.commit[:12]}, but {moved.commit[:12]} is asked for" in told.err


def test_one_run_at_a_time(hub, download, tmp_path):
    (tmp_path / "out").mkdir()
    with sole_run(tmp_path / "out", LOCK):
        told = download("visualization", YES, code=2)
    assert f"error: Another run is using {tmp_path}/out: wait for it" in told.err
    assert not hub.requests
    download("visualization", YES)


def test_a_damaged_record_is_named(download, tmp_path):
    download("visualization", YES)
    other = '{"repository": "a", "commit": "b", "licence": null, "verified": 3}'
    for content in ("[]", "{", '{"repository": 1}', other):
        (tmp_path / "out" / "download.json").write_text(content)
        assert "download.json" in download("visualization", YES, code=2).err


def test_what_is_in_the_way_is_not_replaced(download, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    assert "README.md must be free for a file of the data set" in download("visualization", YES, code=2).err
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


def test_a_hub_that_is_down_ends_with_one_line(hub, download):
    hub.script("GET", "^/api/", [fails(503)] * 99)
    told = download("visualization", YES, code=2)
    assert told.err.splitlines()[-1].startswith(f"error: the listing of {VISUALIZATION} cannot be downloaded")


def test_names(capsys):
    main(["download", "--list"])
    told = capsys.readouterr().out
    assert all(f"{each.name} " in told and each.repository in told for each in CATALOGUE)
    assert {find_set(each.name) for each in CATALOGUE} == set(CATALOGUE)
    assert find_set("weikaih/soc-gc-1m").name == "gc-1m"
    with pytest.raises(ValueError, match="Did you mean 'visualization'"):
        find_set("visualisation")
    with pytest.raises(SystemExit):
        main(["download"])


# The library writes blocks of 10 MB, and files buffer as much as their file system likes; small files are left half-way
# where blocks are smaller and nothing is buffered.
RUN = """
import sys
from pathlib import Path
import huggingface_hub.constants
from sos_mm.cli import main

def unbuffered(path, mode="r", *options, **named):
    return opened(path, mode, 0) if mode == "ab" else opened(path, mode, *options, **named)

opened, Path.open = Path.open, unbuffered
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 2048
sys.exit(main())
"""


def start(hub: Hub, folder: Path, name: str, *options: str) -> subprocess.Popen:
    """The command in a process of its own, with the settings that users know."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    environment = {**others, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_TOKEN": "right"}
    command = [sys.executable, "-c", RUN, "download", name, "--out", str(folder / "out"), YES, *options]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What starts in the background may have been told to ignore interruptions.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def partial_files(folder: Path) -> dict[str, int]:
    """Sizes of the half-downloaded files that have any bytes, by their checksum."""
    found = (folder / "home" / "hub").rglob("*.incomplete")
    return {path.stem: path.stat().st_size for path in found if path.stat().st_size}


def kill_after(hub: Hub, folder: Path, name: str, moment: int, volume: str = "") -> None:
    """Kills a run when the server has sent a further number of bytes; of a volume, when the run has written some."""
    hub.stop_after(moment, volume)
    running = start(hub, folder, name)
    while not hub.reached.wait(0.02) and running.poll() is None:
        pass
    while volume and not partial_files(folder):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    hub.go_on(killed=True)


def check_resumed(hub: Hub, folder: Path, name: str, expected: dict[str, bytes]) -> None:
    """Lets a run end, and compares all bytes."""
    ended = start(hub, folder, name)
    out, err = ended.communicate()
    assert ended.returncode == 0, err
    assert content_of(folder / "out") == expected
    assert not list((folder / "home" / "hub").rglob("*.incomplete"))
    (bank,) = banks(out)
    assert len(build_bank(bank)) == 14


ARCHIVED = {path: data for path, data in SOLID.items() if path in ("README.md", "fc_metadata.json")} | MEMBERS


def test_killed_three_times_and_resumed(hub, tmp_path):
    """Each run goes on at the byte where the one before was killed."""
    hub.token, partial = "right", []
    for volume in (1, 2, 4):
        kill_after(hub, tmp_path, "someone/solid", 12_000, rf"/cdn/.*\.00{volume}/")
        partial += partial_files(tmp_path).items()
    assert len(partial) == 3
    check_resumed(hub, tmp_path, "someone/solid", ARCHIVED)
    for checksum, size in partial:
        assert [range for _, range in hub.downloads(checksum)] == [None, f"bytes={size}-"]


def test_settings_of_the_environment_and_an_interruption(hub, tmp_path):
    """HF_ENDPOINT, HF_HOME and HF_TOKEN are read; Ctrl-C ends with a line that says how to go on."""
    hub.token = "right"
    hub.stop_after(20_000)
    running = start(hub, tmp_path, "visualization")
    assert hub.reached.wait(60)
    running.send_signal(signal.SIGINT)
    hub.go_on()
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.splitlines()[-1] == "interrupted: the same command goes on where it stopped"
    assert (tmp_path / "home" / "hub" / f"datasets--{VISUALIZATION.replace('/', '--')}").is_dir()
