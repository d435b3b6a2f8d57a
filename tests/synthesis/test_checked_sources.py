"""Photographs are decoded before the first image: broken ones stop the run or are left out; repaired ones resume it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.checks import FaultyInputError
from sos_mm.composition import PhotoBackgrounds
from sos_mm.formats.composed import WORK
from sos_mm.synthesis import Recipe, engine, reproduce, synthesize
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.photographs import unusable_photographs
from tests.helpers.commands import run


@pytest.fixture
def folder(tmp_path):
    """Five photographs of one colour each: 20, 60, 100, 140 and 180."""
    folder = tmp_path / "five"
    folder.mkdir()
    for index in range(5):
        write_photo(folder / f"{index}.png", 20 + 40 * index)
    return folder


def write_photo(path: Path, value: int) -> None:
    assert cv2.imwrite(str(path), np.full((120, 140, 3), value, np.uint8))


def repair(path: Path) -> None:
    """Replaces a photograph by one of another size in bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), noise)


@pytest.fixture
def recipe(recipe_dict, folder):
    """A recipe whose images tell their photograph by the colour of a corner."""
    still = {"crop": (1, 1), "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    layout = {**recipe_dict["layout"], "counts": (1, 1)}
    backgrounds = {"type": "folder", "root": str(folder), **still}
    return Recipe.from_dict({**recipe_dict, "layout": layout, "backgrounds": backgrounds, "image_format": "png"})


def skipping(recipe: Recipe) -> Recipe:
    return replace(recipe, backgrounds={**recipe.backgrounds, "broken": "skip"})


def photographs_of(out: Path) -> list[int]:
    """The number of the photograph that each image shows, by the commonest of its grey values."""
    images = [cv2.imread(str(path)) for path in sorted((out / "images").iterdir())]
    counts = [[int((image == 20 + 40 * index).all(2).sum()) for index in range(5)] for image in images]
    return [int(np.argmax(each)) for each in counts]


def manifest_of(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text())


@pytest.mark.parametrize("content", [b"", b"no photograph", None])
def test_a_broken_photograph_stops_the_run_before_the_first_image(content, recipe, folder, tmp_path, monkeypatch):
    if content is None:
        data = (folder / "3.png").read_bytes()
        content = data[: len(data) // 2]
    (folder / "3.png").write_bytes(content)
    monkeypatch.setattr(ShardMaker, "make", None)
    with pytest.raises(FaultyInputError, match=r"1 of the 5 photographs .*3\.png.*backgrounds\.broken='skip'"):
        synthesize(recipe, tmp_path / "out", 20, progress=False)
    # A repaired photograph begins anew: nothing is left of the first try.
    assert not (tmp_path / "out" / WORK).exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_photograph_is_left_out_counted_and_named(workers, recipe, folder, tmp_path):
    whole = synthesize(recipe, tmp_path / "whole", 30, progress=False)
    assert whole.left_out == {}
    (folder / "3.png").write_bytes(b"")
    options = dict(workers=workers, shard_size=10, progress=False)
    report = synthesize(skipping(recipe), tmp_path / "out", 30, **options)

    assert list(report.left_out) == ["3.png"]
    assert "1 photographs of the backgrounds were left out:\n  The image" in report.describe()
    assert list(manifest_of(tmp_path / "out")["backgrounds_left_out"]) == ["3.png"]
    before, after = photographs_of(tmp_path / "whole"), photographs_of(tmp_path / "out")
    assert 3 in before
    assert 3 not in after
    # Only images that showed it have changed.
    assert all(b == a for b, a in zip(before, after, strict=True) if b != 3)
    # The complete data set says so again, and each image can be reproduced.
    assert synthesize(skipping(recipe), tmp_path / "out", 30, **options).left_out == report.left_out
    for index in (before.index(3), 0):
        reproduce(tmp_path / "out", index)


def test_without_a_usable_photograph_there_is_no_data_set(recipe, folder, tmp_path):
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="All 5 photographs"):
        synthesize(skipping(recipe), tmp_path / "out", 3, progress=False)


def test_of_many_photographs_those_that_images_draw_are_decoded(folder, monkeypatch):
    """Also those that are drawn in the place of broken ones."""
    backgrounds = PhotoBackgrounds.from_folder(folder, broken="skip")
    decoded = []
    original = type(backgrounds.photos[0]).read
    monkeypatch.setattr(type(backgrounds.photos[0]), "read", lambda p: (decoded.append(p.path.name), original(p))[1])
    assert unusable_photographs(backgrounds, 0, 2, progress=False) == {}
    drawn = set(decoded)
    assert 1 <= len(drawn) <= 2
    for name in drawn:
        (folder / name).write_bytes(b"")
    decoded.clear()
    assert set(unusable_photographs(backgrounds, 0, 2, progress=False)) >= drawn
    assert len(decoded) == len(set(decoded)) > len(drawn)


def interrupted(recipe: Recipe, out: Path, shards: int, monkeypatch) -> None:
    """Runs until some shards of ten images are complete."""
    make, made = ShardMaker.make, []

    def stopping(self, *arguments):
        if len(made) == shards:
            raise KeyboardInterrupt
        made.append(make(self, *arguments))
        return made[-1]

    monkeypatch.setattr(ShardMaker, "make", stopping)
    with pytest.raises(KeyboardInterrupt):
        synthesize(recipe, out, 40, shard_size=10, progress=False)
    monkeypatch.setattr(ShardMaker, "make", make)


def test_a_photograph_of_the_same_name_and_size_is_another_one(recipe, folder, tmp_path, monkeypatch):
    """Its modification time may be the same, too."""
    path, other, out = folder / "3.png", tmp_path / "other.png", tmp_path / "out"
    write_photo(other, 61)
    # Bytes behind the end of a PNG are read by nobody.
    for each in (path, other):
        each.write_bytes(each.read_bytes().ljust(2000, b"\0"))
    before = path.stat()
    interrupted(recipe, out, 1, monkeypatch)
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(FileExistsError, match="The backgrounds of the recipe have changed"):
        synthesize(recipe, out, 40, shard_size=10, progress=False)


def test_photographs_are_decoded_once(recipe, tmp_path, monkeypatch):
    interrupted(recipe, tmp_path / "out", 1, monkeypatch)
    monkeypatch.setattr(engine, "unusable_photographs", None)
    assert synthesize(recipe, tmp_path / "out", 40, shard_size=10, progress=False).made == 30


def test_a_run_continues_with_a_mended_photograph_only_if_asked(recipe, folder, tmp_path, monkeypatch):
    synthesize(recipe, tmp_path / "before", 40, shard_size=10, progress=False)
    out = tmp_path / "out"
    interrupted(recipe, out, 2, monkeypatch)
    repair(folder / "3.png")
    synthesize(recipe, tmp_path / "after", 40, shard_size=10, progress=False)
    with pytest.raises(FileExistsError, match=r"backgrounds of the recipe have changed.*--changed-sources continue"):
        synthesize(recipe, out, 40, shard_size=10, progress=False)

    report = synthesize(recipe, out, 40, shard_size=10, progress=False, changed_sources="continue")

    assert report.made == 20
    first, second = manifest_of(out)["source_states"]
    assert (first["images"], second["images"]) == ([[0, 9], [10, 19]], [[20, 29], [30, 39]])
    assert first["sources"] == manifest_of(tmp_path / "before")["sources"]
    assert second["sources"] == manifest_of(tmp_path / "after")["sources"] == manifest_of(out)["sources"]
    images = [sorted((tmp_path / name / "images").iterdir()) for name in ("out", "before", "after")]
    contents = [[path.read_bytes() for path in paths] for paths in images]
    assert contents[0] == contents[1][:20] + contents[2][20:]
    assert contents[1] != contents[2]
    reproduce(out, 25)
    assert "source_states" not in manifest_of(tmp_path / "after")


def test_shards_that_are_made_again_belong_to_the_present_state(recipe, folder, tmp_path, monkeypatch):
    interrupted(recipe, tmp_path / "out", 2, monkeypatch)
    repair(folder / "3.png")
    next((tmp_path / "out" / WORK / "000000/images").iterdir()).write_bytes(b"damaged")
    synthesize(recipe, tmp_path / "out", 40, shard_size=10, progress=False, changed_sources="continue")
    states = manifest_of(tmp_path / "out")["source_states"]
    assert [state["images"] for state in states] == [[[10, 19]], [[0, 9], [20, 29], [30, 39]]]


def test_other_category_ids_never_continue(recipe, release, tmp_path, monkeypatch):
    interrupted(recipe, tmp_path / "out", 1, monkeypatch)
    shutil.move(release[0] / "dog", release[0] / "cat")
    words = json.loads(release[1].read_text())
    words["cat_small_dog"] = words.pop("dog_small_dog")
    release[1].write_text(json.dumps(words))
    with pytest.raises(FileExistsError, match="vocabulary of the recipe have changed") as caught:
        synthesize(recipe, tmp_path / "out", 40, shard_size=10, progress=False, changed_sources="continue")
    assert "--changed-sources" not in str(caught.value)


def test_the_command_has_the_options(recipe, folder, tmp_path):
    (folder / "3.png").write_bytes(b"")
    path = tmp_path / "recipe.py"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in recipe.to_dict().items()))
    command = ["synthesize", path, "--out", tmp_path / "out", "--num", "6"]
    done = run(command)
    assert (done.code, done.err.count("error: 1 of the 5 photographs")) == (2, 1), done
    done = run([*command, "--changed-sources", "continue", "--cfg-options", "backgrounds.broken=skip"])
    assert done.code == 0, done
    assert "1 photographs of the backgrounds were left out" in done.out
