"""Which annotation files are merged, and merging them later: the bytes of merging at once, also after kills."""

import json
import shutil
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from sos_mm.annotations.options import Options
from sos_mm.annotations.validate import validate
from sos_mm.browse import read_dataset
from sos_mm.synthesis import Recipe, later_merging, merging, reproduce, synthesize, unmerged, workspace
from tests.helpers.commands import run
from tests.synthesis.test_synthesis import folder_hash

FORMATS = ["coco", "panoptic", "lvis", "odvg", "yolo", "saliency", "objects"]
RECIPE = {
    "canvas": (64, 80),
    "group": "all",
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
    "keep_ignored": True,
    "min_visible_share": 0.4,
    "formats": FORMATS,
}
NUM, SHARD = 11, 4
LINES = ["objects.jsonl", "odvg_detection.jsonl", "odvg_grounding.jsonl"]
LISTS = ["instances.json", "lvis_v1.json", "panoptic.json"]


def make(out: Path, merge: str, **more):
    return synthesize(
        Recipe.from_dict(RECIPE), out, NUM, seed=3, **{"shard_size": SHARD, "progress": False, **more}, merge=merge
    )


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A data set for each value of `merge`."""
    folder = tmp_path_factory.mktemp("merging")
    for merge in unmerged.MERGE:
        make(folder / merge, merge)
    return folder


@pytest.fixture
def copied(sets, tmp_path):
    shutil.copytree(sets / "none", tmp_path / "out")
    return tmp_path / "out"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files(sets):
    def of_shards(names):
        stems = [(Path(name).stem, Path(name).suffix) for name in names]
        return sorted(["index.json", *(f"{stem}-{n:06d}{suffix}" for stem, suffix in stems for n in range(3))])

    assert names_in(sets / "all/annotations") == sorted([*LINES, *LISTS, "odvg_label_map.json"])
    assert not (sets / "all/shards").exists()
    assert "merge" not in json.loads((sets / "all/manifest.json").read_text())
    assert names_in(sets / "odvg/annotations") == sorted([*LINES, "odvg_label_map.json"])
    assert names_in(sets / "odvg/shards") == of_shards(LISTS)
    assert names_in(sets / "none/annotations") == ["odvg_label_map.json"]
    assert names_in(sets / "none/shards") == of_shards([*LINES, *LISTS])
    for merge in ("none", "odvg"):
        assert make(sets / merge, merge, verify=True).made == 0
        assert "`--merge all`" in make(sets / merge, merge).describe()
        for name in ("annotations/odvg_label_map.json", "data.yaml", "images/00000010.jpg"):
            assert (sets / merge / name).read_bytes() == (sets / "all" / name).read_bytes()
    for name in LINES:
        assert (sets / "odvg/annotations" / name).read_bytes() == (sets / "all/annotations" / name).read_bytes()


@pytest.mark.parametrize("table", ["instances", "lvis_v1", "panoptic"])
def test_files_of_shards_hold_the_records_of_the_merged_one(sets, table):
    """Parsed here, whereas they are merged as text; ids are those of the merged file, headers too."""
    merged = json.loads((sets / f"all/annotations/{table}.json").read_text())
    index = json.loads((sets / "none/shards/index.json").read_text())
    assert index["shards"] == [[0, 3], [4, 7], [8, 10]]
    parts = [
        json.loads((sets / "none" / name).read_text()) for name in index["tables"][f"annotations/{table}.json"]["files"]
    ]
    for section in ("images", "annotations"):
        assert [each for part in parts for each in part.pop(section)] == merged.pop(section)
    assert parts == [merged] * 3


def test_files_of_shards_are_read(sets):
    """By pycocotools, the validator and the page, each as a complete file beside its images."""
    out = sets / "none"
    for number, size in enumerate([4, 4, 3]):
        assert len(COCO(str(out / f"shards/instances-{number:06d}.json")).imgs) == size
        for table in ("instances", "lvis_v1", "panoptic"):
            path = out / f"shards/{table}-{number:06d}.json"
            masks = out / "panoptic" if table == "panoptic" else None
            # LVIS's names begin at the data set.
            images = out if table == "lvis_v1" else out / "images"
            assert not validate(path, options=Options(images=images, masks=masks)).counts
            assert len(read_dataset(path).images) == size
    assert len(read_dataset(out / "shards/objects-000001.jsonl").images) == 4
    assert len(read_dataset(sets / "odvg").images) == NUM


@pytest.mark.parametrize("merge", ["none", "odvg"])
def test_merging_later_gives_the_bytes_of_merging_at_once(sets, tmp_path, merge):
    shutil.copytree(sets / merge, tmp_path / "out")
    report = make(tmp_path / "out", "all")
    assert (report.made, report.merge) == (0, "all")
    assert folder_hash(tmp_path / "out") == folder_hash(sets / "all")
    # What is merged stays so.
    assert make(tmp_path / "out", "none").merge == "all"
    assert folder_hash(tmp_path / "out") == folder_hash(sets / "all")


def test_merging_later_needs_no_sources(recipe_dict, tmp_path):
    recipe = Recipe.from_dict({**recipe_dict, "formats": ["lvis", "referring"], "background_categories": []})
    synthesize(recipe, tmp_path / "once", 6, shard_size=2, progress=False)
    synthesize(recipe, tmp_path / "later", 6, shard_size=2, progress=False, merge="none")
    shutil.rmtree(recipe_dict["segments"]["root"])
    synthesize(recipe, tmp_path / "later", 6, progress=False)
    assert folder_hash(tmp_path / "later") == folder_hash(tmp_path / "once")


def test_images_are_reproduced(sets):
    for index in (0, 5, 10):
        assert reproduce(sets / "none", index).objects
    damaged = sets / "none/shards/objects-000001.jsonl"
    content = damaged.read_bytes()
    damaged.write_bytes(content.replace(b'"z_order":0', b'"z_order":7', 1))
    with pytest.raises(ValueError, match=r"lines of image 4 in annotations/objects.jsonl"):
        reproduce(sets / "none", 4)
    damaged.write_bytes(content)


class Killed(BaseException):
    """Stands for the end of the process, after which no code of it runs but that of `finally`."""


def kill_at(monkeypatch, number: int) -> list[str]:
    """Ends the run before its change of the folder with this number; returns the changes so far."""
    done: list[str] = []

    def stopping(module, name):
        original = getattr(module, name)

        def wrapped(*arguments, **options):
            if len(done) == number:
                raise Killed(name)
            done.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, wrapped)

    for module in (later_merging, unmerged):
        for name in ("replace_file", "clear", "remove_shard_files", "sync"):
            if hasattr(module, name):
                stopping(module, name)
    for name in ("replace", "unlink"):
        stopping(later_merging.os, name)
    return done


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same with few files, for what is done many times."""
    folder = tmp_path_factory.mktemp("small")
    for merge in unmerged.MERGE:
        make_small(folder / merge, merge)
    return folder, {merge: folder_hash(folder / merge) for merge in unmerged.MERGE}


def make_small(out: Path, merge: str):
    recipe = Recipe.from_dict({**RECIPE, "formats": ["coco", "odvg"]})
    return synthesize(recipe, out, 3, shard_size=2, progress=False, merge=merge)


def test_a_killed_later_merge(small, tmp_path, monkeypatch):
    """At every change: the data set says that it is unfinished, or it is a complete one of either kind."""
    out, ends, number = tmp_path / "out", set(), 0
    while True:
        shutil.copytree(small[0] / "none", out)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                make_small(out, "all")
            except Killed:
                pass
            else:
                break
        if (out / "manifest.json").exists():
            for line in (out / "checksums.sha256").read_text().splitlines():
                assert (out / line.split("  ")[1]).exists()
        else:
            with pytest.raises(ValueError, match="unfinished"):
                read_dataset(out)
        then = ("all", "none")[number % 2]
        merged = make_small(out, then).merge
        assert folder_hash(out) == small[1][merged]
        ends.add((then, merged))
        shutil.rmtree(out)
        number += 1
    assert number > 10
    assert ends == {("all", "all"), ("none", "all"), ("none", "none")}


@pytest.mark.parametrize(("first", "then"), [("none", "all"), ("all", "none"), ("odvg", "none"), ("none", "odvg")])
def test_a_killed_merge_goes_on_with_another(small, tmp_path, monkeypatch, first, then):
    original = merging.replace_file

    def stopping(out, path, parts):
        if path.name == "checksums.sha256":
            raise Killed
        return original(out, path, parts)

    monkeypatch.setattr(merging, "replace_file", stopping)
    with pytest.raises(Killed):
        make_small(tmp_path / "out", first)
    monkeypatch.undo()
    assert make_small(tmp_path / "out", then).made == 0
    assert folder_hash(tmp_path / "out") == small[1][then]


def test_refusals(copied):
    with pytest.raises(ValueError, match=r"must have merged annotation files, .*shards/index.json lists.*--merge all"):
        read_dataset(copied)
    for read in (read_dataset, validate):
        with pytest.raises(FileNotFoundError, match=r"instances.json does not exist: its .*`--merge all`"):
            read(copied / "annotations/instances.json")
    with pytest.raises(FileExistsError, match="is complete and has the annotation files of single shards"):
        make(copied, "odvg")
    with pytest.raises(ValueError, match="`merge` must be one of 'none', 'odvg', 'all', but got 'some'"):
        make(copied, "some")
    path = copied / "shards/instances-000001.json"
    path.write_bytes(path.read_bytes()[:-9])
    before = folder_hash(copied)
    with pytest.raises(ValueError, match=r"are not what was written, shards/instances-000001.json first"):
        make(copied, "all")
    assert folder_hash(copied) == before


def test_names_in_a_changed_index_are_not_removed(copied):
    index = json.loads((copied / "shards/index.json").read_text())
    index["tables"]["annotations/instances.json"]["files"][0] = "manifest.json"
    (copied / "shards/index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="must have names of files in shards/ as `files`"):
        make(copied, "all")


def test_two_at_once(copied):
    with workspace.lock_of_complete(copied):
        with pytest.raises(FileExistsError, match="Another run is writing"):
            make(copied, "all")
        assert make(copied, "none").merge == "none"


def test_command(sets, tmp_path):
    (tmp_path / "recipe.py").write_text("".join(f"{key} = {value!r}\n" for key, value in RECIPE.items()))
    words = [
        "synthesize",
        str(tmp_path / "recipe.py"),
        "--out",
        str(tmp_path / "out"),
        "--num",
        str(NUM),
        "--seed",
        "3",
    ]
    words += ["--shard-size", str(SHARD)]
    refused = run([*words, "--merge", "none", "--report", str(tmp_path / "page")])
    assert refused.code == 2
    assert "`--report` needs a merged annotation file" in refused.line
    assert run([*words, "--merge", "none"]).code == 0
    assert folder_hash(tmp_path / "out") == folder_hash(sets / "none")
