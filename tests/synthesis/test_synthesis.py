"""Synthesis: recipes, same bytes always, and going on after an interruption."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.browse import read_dataset
from sos_mm.segments.sample import SAMPLE_FOLDER
from sos_mm.synthesis import Recipe, SceneMaker, engine, executors, load_recipe, merging, synthesize, workspace
from sos_mm.synthesis.making import ShardMaker
from tests.helpers.commands import run

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE_RECIPE = REPOSITORY / "configs/synthesis/sample_saliency.py"


def folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture
def recipe(recipe_dict):
    return Recipe.from_dict(recipe_dict)


def make(recipe, out, num=20, **options):
    return synthesize(recipe, out, num, **{"seed": 3, "shard_size": 4, "progress": False, **options})


def test_data_set(recipe, tmp_path):
    out = tmp_path / "out"
    report = make(recipe, out)
    assert (report.images, report.made) == (20, 20)
    assert sorted(path.name for path in out.iterdir()) == ["checksums.sha256", "images", "manifest.json", "masks"]
    names = sorted(path.stem for path in (out / "images").iterdir())
    assert names == [f"{index:08d}" for index in range(20)]
    assert names == sorted(path.stem for path in (out / "masks").iterdir())
    maker = SceneMaker(recipe, 3)
    objects = 0
    for name in names:
        scene = maker.make(int(name))
        objects += len(scene.objects)
        mask = cv2.imread(str(out / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, scene.saliency_mask())
        image = cv2.imread(str(out / "images" / f"{name}.jpg"))[..., ::-1]
        assert image.shape == scene.image.shape
        assert np.abs(image.astype(int) - scene.image).mean() < 6
    assert report.objects == objects
    manifest = json.loads((out / "manifest.json").read_text())
    counts = manifest["counts"]
    assert (counts["images"], counts["objects"]) == (20, objects)
    assert sum(counts["instances_of"].values()) == objects
    assert max(counts["images_with"].values()) <= 20
    assert manifest["recipe"] == recipe.to_dict()
    checksums = dict(reversed(line.split("  ")) for line in (out / "checksums.sha256").read_text().splitlines())
    assert len(checksums) == 40
    for name, sha256 in {**checksums, "checksums.sha256": manifest["checksums.sha256"]}.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256
    subprocess.run(["sha256sum", "--check", "--quiet", "checksums.sha256"], cwd=out, check=True)


def test_png_images_hold_the_scene_itself(recipe_dict):
    maker = ShardMaker(Recipe.from_dict({**recipe_dict, "image_format": "png"}), 0)
    scene = maker.scenes.make(0)
    files = maker.encode(scene, 0).files
    assert list(files) == ["images/00000000.png", "masks/00000000.png"]
    image = cv2.imdecode(np.frombuffer(files["images/00000000.png"], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(image[..., ::-1], scene.image)


def test_images_without_background_are_transparent(recipe_dict):
    """Over black and white they are the scene, whose colours are premultiplied."""
    change = {"backgrounds": {"type": "none"}, "image_format": "png"}
    maker = ShardMaker(Recipe.from_dict({**recipe_dict, **change}), 0)
    scene = maker.scenes.make(0)
    content = np.frombuffer(maker.encode(scene, 0).files["images/00000000.png"], np.uint8)
    rgba = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    np.testing.assert_array_equal(rgba[..., 3], scene.alpha)
    premultiplied = rgba[..., :3].astype(float) * rgba[..., 3:] / 255
    assert np.abs(premultiplied - scene.image).max() <= 0.51


def test_same_bytes_with_any_workers_and_shards(recipe, tmp_path):
    make(recipe, tmp_path / "one")
    make(recipe, tmp_path / "two", workers=2, shard_size=3)
    assert folder_hash(tmp_path / "one") == folder_hash(tmp_path / "two")
    make(recipe, tmp_path / "other", seed=4)
    assert folder_hash(tmp_path / "one") != folder_hash(tmp_path / "other")


def test_an_image_does_not_depend_on_how_many_there_are(recipe, tmp_path):
    make(recipe, tmp_path / "few", num=3)
    make(recipe, tmp_path / "more", num=5)
    for name in ("images/00000002.jpg", "masks/00000002.png"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


def test_complete_data_sets_are_left_alone(recipe, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = make(recipe, out)
    # What a run that was killed at its very end leaves behind.
    (out / ".shards").mkdir()
    monkeypatch.setattr(engine, "ShardMaker", None)
    again = make(recipe, out)
    assert (again.images, again.objects, again.made) == (first.images, first.objects, 0)
    assert not (out / ".shards").exists()
    (out / "masks" / "00000007.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 files .* masks/00000007\.png first"):
        make(recipe, out)


def test_other_folders_are_left_alone(recipe, recipe_dict, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match=r"holds thesis\.tex: name another folder"):
        make(recipe, out)
    (out / "thesis.tex").unlink()
    make(recipe, out, num=4)
    with pytest.raises(FileExistsError, match="num 4 instead of 5"):
        make(recipe, out, num=5)
    with pytest.raises(FileExistsError, match="seed 3 instead of 9"):
        make(recipe, out, num=4, seed=9)
    with pytest.raises(FileExistsError, match="another run \\(of another recipe\\): name another folder"):
        make(Recipe.from_dict({**recipe_dict, "min_area": 99}), out, num=4)
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, but .*manifest\.json"):
        make(recipe, out / "manifest.json")
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(FileExistsError, match=r"another run \(made by another version of sos_mm: format 1 instead of"):
        make(recipe, out, num=4)


def test_a_faulty_shard_leaves_the_others(recipe, tmp_path, monkeypatch):
    """An error in the third shard keeps the first two; a later run makes the rest, to the same bytes."""
    make(recipe, tmp_path / "whole")
    made, original = [], SceneMaker.make

    def faulty(self, index):
        made.append(index)
        if index == 9 and len(made) < 12:
            raise ValueError("The cut-out x.png cannot be decoded.")
        return original(self, index)

    monkeypatch.setattr(SceneMaker, "make", faulty)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"x\.png"):
        make(recipe, out)
    assert not (out / "manifest.json").exists()
    assert made == list(range(10))
    with pytest.raises(FileExistsError, match="belongs to another run"):
        make(recipe, out, seed=1)
    with pytest.raises(ValueError, match="out is an unfinished data set: run its command again"):
        read_dataset(out)
    made.extend([0] * 2)
    report = make(recipe, out)
    assert made[12:] == list(range(8, 20))
    assert (report.images, report.made) == (20, 12)
    assert folder_hash(out) == folder_hash(tmp_path / "whole")


def test_a_run_without_a_shard_gives_the_folder_back(recipe, recipe_dict, tmp_path):
    """What failed in its sources or in its first shard can be repaired and run again: nothing was made yet."""
    out, segments = tmp_path / "out", recipe_dict["segments"]
    faulty = (
        ({"segments": {**segments, "root": str(tmp_path / "none")}}, FileNotFoundError, "none does not exist"),
        ({"min_area": 90 * 70}, RuntimeError, "lower `min_area`"),
    )
    for change, error, match in faulty:
        with pytest.raises(error, match=match):
            make(Recipe.from_dict({**recipe_dict, **change}), out, num=4)
        assert list(out.iterdir()) == []
    assert make(recipe, out, num=4).made == 4


def test_workers_that_are_still_at_it_keep_the_folder(recipe, tmp_path, monkeypatch):
    def fail(*_):
        workspace.join_run(tmp_path / "out")
        raise RuntimeError("the cluster is gone")

    monkeypatch.setattr(SceneMaker, "make", fail)
    with pytest.raises(RuntimeError, match="the cluster is gone"):
        make(recipe, tmp_path / "out", num=4)
    assert (tmp_path / "out/.shards/run.json").exists()


@pytest.mark.parametrize("moved", [0, 1, 7, 39])
def test_merging_may_be_cut_short(recipe, tmp_path, monkeypatch, moved):
    """Stopped after any number of files went to their final places, a run goes on from there."""
    make(recipe, tmp_path / "whole")
    moves, move = [], merging._move

    def stop(source, target):
        if len(moves) == moved:
            raise KeyboardInterrupt
        moves.append(move(source, target))

    out = tmp_path / "out"
    monkeypatch.setattr(merging, "_move", stop)
    with pytest.raises(KeyboardInterrupt):
        make(recipe, out)
    monkeypatch.undo()
    assert len([*out.glob("images/*"), *out.glob("masks/*")]) == moved
    assert make(recipe, out).made == 0
    assert folder_hash(out) == folder_hash(tmp_path / "whole")


def test_one_run_at_a_time(recipe, tmp_path, monkeypatch):
    original = SceneMaker.make

    def make_twice(self, index):
        if index == 0:
            with (
                pytest.raises(FileExistsError, match="Another run is writing"),
                workspace.sole_run(tmp_path / "out", {}),
            ):
                pass
        return original(self, index)

    monkeypatch.setattr(SceneMaker, "make", make_twice)
    make(recipe, tmp_path / "out", num=2)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "_start_worker", die)
    with pytest.raises(RuntimeError, match="run the same command again"):
        make(recipe, tmp_path / "out", workers=2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(recipe, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="`out` cannot be written"):
        make(recipe, tmp_path / "locked" / "out")


def test_numbers_are_checked(recipe, tmp_path):
    for options in ({"num": 0}, {"workers": 0}, {"seed": -1}, {"shard_size": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be an integer in"):
            make(recipe, tmp_path / "out", **options)


def test_scenes_without_objects_are_told(recipe_dict):
    recipe = Recipe.from_dict({**recipe_dict, "min_area": 80 * 96})
    with pytest.raises(RuntimeError, match="lower `min_area`"):
        SceneMaker(recipe, 0).make(0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"canvvas": (8, 8)}, "Did you mean 'canvas'"),
        ({"canvas": (8, 8)}, "`canvas` must be an integer in"),
        ({"canvas": 384}, "`canvas` must be a height and a width"),
        ({"canvas": (384.0, 384)}, "`canvas`"),
        ({"segments": {"type": "relaese"}}, "Did you mean 'release'"),
        ({"segments": {"type": "release"}}, "must have `root`"),
        ({"segments": {"type": "sample", "rooot": "x"}}, "option of the bank 'sample'"),
        ({"segments": "sample"}, "described by a dict"),
        ({"backgrounds": {"type": "folder", "root": "x", "hues": 3}}, "Did you mean 'hue'"),
        ({"backgrounds": {"type": "folder"}}, "must have `root`"),
        ({"group": "held-out"}, "Did you mean 'held_out'"),
        ({"layout": {"type": "StructuredLayout", "count": (1, 2)}}, "Did you mean 'counts'"),
        ({"layout": {}}, r"`layout\.type`"),
        ({"sampling": "rare"}, "`sampling`"),
        ({"min_visible_share": -0.1}, "`min_visible_share`"),
        ({"min_area": 0}, "`min_area`"),
        ({"formats": ["cocoo"]}, "Did you mean 'coco'"),
        ({"formats": "coco"}, "must be a list"),
        ({"formats": []}, "at least one format"),
        ({"formats": ["coco", "coco"]}, "each format once"),
        ({"formats": [{"type": "coco", "boxes": 1}]}, "key of the format 'coco'"),
        ({"effects": "bright"}, "`effects`"),
        ({"effects": [{"type": "Harmonise"}]}, "Did you mean 'Harmonize'"),
        ({"backgrounds": {"type": "none"}}, "`image_format` must be 'png'"),
        ({"backgrounds": "white"}, "dict with a `type`"),
        ({"image_format": "jpeg"}, "Did you mean 'jpg'"),
        ({"layout": 5}, "`layout` must be a dict with a `type`, but got 5"),
        ({"effects": 5}, "`effects` must be a list of dicts.* but got 5"),
        ({"formats": [5]}, "`formats` cannot be"),
        ({"segments": {"type": "sample", "filters": 5}}, "`filters` of the bank must be a dict, but got 5"),
        ({"min_area": "x"}, "`min_area` must be an integer in"),
        ({"layout": {"type": "StructuredLayout", "counts": 5}}, "`counts` must be a pair"),
        ({"layout": {"type": "StructuredLayout", "counts": (5, "x")}}, "`counts` must be a pair"),
        ({"effects": [{"type": "AreaWeightedBlend"}]}, "'AreaWeightedBlend' cannot be made .*'relighter'"),
    ],
)
def test_recipes_are_checked(recipe_dict, change, match):
    with pytest.raises(ValueError, match=match):
        Recipe.from_dict({**recipe_dict, **change})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"segments": {"type": "folder", "root": 5}}, "`root` of the bank must be a path, but got 5"),
        ({"backgrounds": {"type": "plain", "colors": 5}}, "`colors` must be a list of triples"),
        ({"vocabulary": 5}, "`vocabulary` must be names"),
    ],
)
def test_sources_are_checked(recipe_dict, change, match):
    with pytest.raises(ValueError, match=match):
        ShardMaker(Recipe.from_dict({**recipe_dict, **change}), 0)


def test_a_recipe_needs_a_canvas():
    with pytest.raises(ValueError, match="must have a `canvas`"):
        Recipe.from_dict({})


def test_recipe_hash(recipe_dict):
    recipe = Recipe.from_dict(recipe_dict)
    same = Recipe.from_dict(dict(reversed(recipe_dict.items())) | {"canvas": [80, 96], "sampling": "category"})
    assert recipe.sha256 == same.sha256
    assert recipe.sha256 != Recipe.from_dict({**recipe_dict, "sampling": "uniform"}).sha256


def test_recipe_file(tmp_path):
    pytest.importorskip("mmengine.config")
    recipe = load_recipe(SAMPLE_RECIPE, {"group": "held_out", "layout.counts": [2, 3]})
    assert recipe.group == "held_out"
    assert recipe.build_layout().counts == [2, 3]
    with pytest.raises(FileNotFoundError, match="recipe must be a config file"):
        load_recipe(tmp_path / "none.py")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} is a folder"):
        load_recipe(tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'group'"):
        load_recipe(SAMPLE_RECIPE, {"groups": "train"})


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.py", "canvas = (2"), ("b.py", "canvas = 1 / 0"), ("c.py", "_base_ = 'no.py'"), ("d.json", "{"), ("e.txt", "")],
)
def test_recipe_files_that_cannot_be_read(tmp_path, name, text):
    pytest.importorskip("mmengine.config")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name} must be a config file, but cannot be read: "):
        load_recipe(tmp_path / name)


def test_the_base_of_a_recipe_that_is_not_found(tmp_path):
    pytest.importorskip("mmengine.config")
    (tmp_path / "a.py").write_text("_base_ = 'configs/synthesis/fc_like.py'")
    with pytest.raises(ValueError, match=r"begins in the folder of the file; .*get_config") as told:
        load_recipe(tmp_path / "a.py")
    assert "fc_like.py" in str(told.value)
    (tmp_path / "a.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"division by zero \(ZeroDivisionError\)\.$"):
        load_recipe(tmp_path / "a.py")


def test_recipe_file_without_mmengine(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmengine.config", None)
    with pytest.raises(ImportError, match="pip install onedl-mmengine"):
        load_recipe(SAMPLE_RECIPE)


def test_tool(recipe_dict, tmp_path):
    pytest.importorskip("mmengine.config")
    config = tmp_path / "recipe.py"
    recipe_dict["formats"] = ["coco", "saliency"]
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in recipe_dict.items()))
    command = ["synthesize.py", config, "--num", "5", "--out"]
    done = run([*command, tmp_path / "out", "--report", tmp_path / "page"])
    assert (done.code, done.raised) == (0, ""), done.err
    assert f"{tmp_path / 'out'}: 5 images" in done.out
    assert (tmp_path / "page/index.html").is_file()
    done = run([*command, tmp_path / "out"])
    assert (done.code, "already there" in done.out) == (0, True)
    done = run([*command, tmp_path / "more", "--report", tmp_path / "out"])
    assert done.code == 2
    assert "folder of the page must be new" in done.line
    assert not (tmp_path / "more").exists()
    done = run([*command, config])
    assert (done.code, done.raised) == (2, "")
    assert done.err.startswith("error: ")


@pytest.mark.skipif(not (SAMPLE_FOLDER / "groups.json").exists(), reason="the bundled sample is not there")
@pytest.mark.parametrize("group", ["train", "held_out"])
def test_sample_recipe(group):
    pytest.importorskip("mmengine.config")
    pytest.importorskip("skimage")
    maker = SceneMaker(load_recipe(SAMPLE_RECIPE, {"group": group}), 0)
    shares = [np.mean(maker.make(index).owner > 0) for index in range(12)]
    assert 0.05 < np.mean(shares) < 0.6
