"""Relit data sets: annotations untouched, batches, interruption, several processes, the guard, memory and disk."""

import errno
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.cli import main
from sos_mm.composition import Light, build_steps
from sos_mm.composition.effects.blending import area_weights
from sos_mm.formats.rle import MaskWindow
from sos_mm.generation.relighting import dataset
from sos_mm.generation.relighting.composed_set import ComposedSet, LoadedImage, soft_sprite
from sos_mm.generation.relighting.dataset import RelightSettings, batches_of, finish, relight_dataset
from sos_mm.generation.relighting.guard import Guard
from sos_mm.generation.relighting.relit_set import read_sidecar
from sos_mm.synthesis import Recipe, synthesize
from tests.helpers.processes import run_killed

IMAGES = 10
SHARES = {"large": 0.7, "medium": 0.3, "small": 0.0}
ACCEPT_ALL = Guard(moved_share=1.0, colors=1.0)


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    out = tmp_path_factory.mktemp("composed") / "set"
    recipe = Recipe(
        canvas=(96, 128),
        layout={"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer", "shares": SHARES},
        formats=["coco", "panoptic", "odvg", "yolo", "objects"],
        image_format="png",
    )
    synthesize(recipe, out, IMAGES, progress=False)
    return out


def settings(step="Relight", relighter=None, **options) -> RelightSettings:
    (built,) = build_steps([{"type": step, "relighter": relighter or {"type": "GradientRelighter"}}])
    return RelightSettings(built, **{"guard": ACCEPT_ALL, "batch_size": 3, **options})


def run(source, out, options=None, **more):
    return relight_dataset(source, out, options or settings(), progress=False, **more)


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Painter:
    """A relighter in batches that fills the background with a colour of its draw, and may lack memory."""

    room: int = 100

    def plan(self, light, rng):
        return {"shade": int(rng.integers(256)), "seed": int(rng.integers(2**53))}

    def relight_batch(self, images, alphas, plans):
        if len(images) > self.room:
            raise MemoryError(f"No room for {len(images)} images.")
        return [
            np.where(alpha[..., None] > 127, image, np.uint8(plan["shade"]))
            for image, alpha, plan in zip(images, alphas, plans, strict=True)
        ]

    def relight(self, image, alpha, light, rng):
        return self.relight_batch([image], [alpha], [self.plan(light, rng)])[0]


def test_all_but_the_images_stays_byte_for_byte(composed, tmp_path):
    report = run(composed, tmp_path / "relit")
    assert report.complete
    assert (report.made, report.counts["images"], report.counts["relit"]) == (IMAGES, IMAGES, IMAGES)
    before, after = contents(composed), contents(tmp_path / "relit")
    new = {"annotations/relighting.jsonl", "relighting.json", "checksums.sha256"}
    assert after.keys() - before.keys() == new - {"checksums.sha256"}
    assert before.keys() - after.keys() == {"manifest.json"}
    for name in before.keys() & after.keys() - new:
        assert (before[name] == after[name]) != name.startswith("images/"), name
    assert {name for name in after if name.startswith("annotations/")} > {
        f"annotations/{name}" for name in ("instances.json", "objects.jsonl", "panoptic.json")
    }
    # The checksums are those of the files, in the form that sha256sum reads.
    listed = dict(reversed(line.split("  ")) for line in (tmp_path / "relit/checksums.sha256").read_text().splitlines())
    assert listed == {name: each for name, each in after.items() if name not in ("relighting.json", "checksums.sha256")}
    # The input is not changed, and a second run changes nothing.
    assert contents(composed) == before
    assert run(composed, tmp_path / "relit").made == 0
    assert contents(tmp_path / "relit") == after


def test_sidecar_says_what_was_done(composed, tmp_path):
    run(composed, tmp_path / "relit", settings(relighter=Painter()))
    records = list(read_sidecar(tmp_path / "relit"))
    assert [record["file_name"] for record in records] == sorted(path.name for path in (composed / "images").iterdir())
    for record in records:
        (tried,) = record["tries"]
        assert record["status"] == "relit"
        assert set(tried) == {"shade", "seed", "batch", "guard"}
        image = cv2.imread(str(tmp_path / "relit/images" / record["file_name"]))
        assert (
            record["sha256"]
            == hashlib.sha256((tmp_path / "relit/images" / record["file_name"]).read_bytes()).hexdigest()
        )
        # The corner that no object covers has the drawn shade.
        assert tried["shade"] in image
    assert len({record["tries"][0]["seed"] for record in records}) == IMAGES


def test_draws_depend_on_neither_batch_size_nor_processes(composed, tmp_path):
    found = {}
    for name, size, processes in (("one", 1, 1), ("three", 3, 2), ("all", 32, 1)):
        for rank in reversed(range(processes)):
            report = run(
                composed,
                tmp_path / name,
                settings(relighter=Painter(), batch_size=size),
                rank=rank,
                world_size=processes,
            )
            assert report.complete == (rank == 0)
        found[name] = (
            contents(tmp_path / name / "images"),
            [[{**each, "batch": 0} for each in record["tries"]] for record in read_sidecar(tmp_path / name)],
        )
    assert found["one"] == found["three"] == found["all"]
    other = run(composed, tmp_path / "seed", settings(relighter=Painter(), seed=1))
    assert other.complete
    assert contents(tmp_path / "seed/images") != found["one"][0]


def test_failed_run_goes_on_after_its_last_batch(composed, tmp_path, monkeypatch):
    whole = settings(relighter=Painter())
    run(composed, tmp_path / "whole", whole)
    write, calls = dataset.write_atomic, []

    def failing(path, content):
        calls.append(path)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(dataset, "write_atomic", failing)
    with pytest.raises(OSError, match="Finished shards are kept: make room and run the same command again"):
        run(composed, tmp_path / "part", whole)
    monkeypatch.undo()
    assert not (tmp_path / "part/relighting.json").exists()
    assert run(composed, tmp_path / "part", whole).made == IMAGES - 3
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


RECIPE = """
canvas = (64, 64)
effects = [dict(type="AreaWeightedBlend", relighter=dict(type="GradientRelighter"))]
"""


def test_killed_command_goes_on(composed, tmp_path):
    (tmp_path / "recipe.py").write_text(RECIPE)
    words = ["relight", str(composed), "--recipe", str(tmp_path / "recipe.py"), "--batch-size", "2", "--no-guard"]
    records = "sos_mm.generation.relighting.relit_set.RelitSet.write_records"
    run_killed([*words, "--out", str(tmp_path / "killed")], records, 1)
    assert len(list((tmp_path / "killed/.relighting").glob("0*.jsonl"))) == 1
    assert main([*words, "--out", str(tmp_path / "killed")]) is None
    assert main([*words, "--out", str(tmp_path / "whole")]) is None
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@dataclass(frozen=True)
class Shaker(Painter):
    """Moves the image unless the draw is even."""

    def relight_batch(self, images, alphas, plans):
        return [
            image if plan["shade"] % 2 == 0 else np.roll(image, 9, 1) for image, plan in zip(images, plans, strict=True)
        ]


@dataclass(frozen=True)
class Painted(Painter):
    """Gives all objects another colour."""

    def relight_batch(self, images, alphas, plans):
        return [np.ascontiguousarray(image[..., [1, 2, 0]]) for image in images]


def test_moved_objects_are_relit_again_or_kept_unlit(composed, tmp_path):
    rules = Guard(min_area=100, moved_share=0.0, colors=1.0, retries=1)
    report = run(composed, tmp_path / "relit", settings(relighter=Shaker(), guard=rules))
    records = {record["file_name"]: record for record in read_sidecar(tmp_path / "relit")}
    unlit = {name for name, record in records.items() if record["status"] == "unlit"}
    again = {name for name, record in records.items() if len(record["tries"]) == 2}
    assert unlit
    assert again - unlit
    assert report.counts["unlit"] == report.counts["unlit: objects moved"] == len(unlit)
    assert report.counts["again"] == len(again)
    assert f"{len(unlit)} kept unlit: objects moved" in report.describe()
    for name, record in records.items():
        same = (composed / "images" / name).read_bytes() == (tmp_path / "relit/images" / name).read_bytes()
        assert same or record["status"] == "relit"
        assert record["tries"][-1]["guard"]["accepted"] == (record["status"] == "relit")
        seeds = [tried["seed"] for tried in record["tries"]]
        assert len(set(seeds)) == len(seeds)
    # Whatever the batch size.
    run(composed, tmp_path / "other", settings(relighter=Shaker(), guard=rules, batch_size=10))
    assert contents(tmp_path / "other/images") == contents(tmp_path / "relit/images")


def test_lost_colour_words_count(composed, tmp_path):
    rules = Guard(moved_share=1.0, colors=0.0, retries=0)
    report = run(composed, tmp_path / "relit", settings(relighter=Painted(), guard=rules))
    assert report.counts["unlit: colours lost"] > 0
    for record in read_sidecar(tmp_path / "relit"):
        assert (record["tries"][0]["guard"]["lost"] > 0) == (record["status"] == "unlit")
    # The paper's blend keeps most of the original of small objects, the released one all of its colour.
    (step,) = build_steps(
        [{"type": "AreaWeightedBlend", "relighter": Painted(), "chroma": "original", "low": 0.7, "high": 0.9}]
    )
    blended = run(composed, tmp_path / "blended", RelightSettings(step, guard=rules, batch_size=3))
    assert blended.counts.get("unlit", 0) < report.counts["unlit"]


def test_lack_of_memory_halves_the_batch(composed, tmp_path, capsys):
    run(composed, tmp_path / "small", settings(relighter=Painter(room=2), batch_size=8))
    assert "Going on with 4 at once" in capsys.readouterr().err
    assert {tried["batch"] for record in read_sidecar(tmp_path / "small") for tried in record["tries"]} == {2}
    run(composed, tmp_path / "large", settings(relighter=Painter(), batch_size=8))
    assert contents(tmp_path / "small/images") == contents(tmp_path / "large/images")
    with pytest.raises(RuntimeError, match="Even one image is too large: reduce `max_side`"):
        run(composed, tmp_path / "none", settings(relighter=Painter(room=0)))


def square(canvas, x, y, side):
    return soft_sprite(MaskWindow(np.ones((side, side), np.uint8), x, y), canvas, 0)


@pytest.mark.parametrize(
    "options", [{}, {"low": 0.1, "high": 0.7, "keep": "large", "lone_rank": 0.0, "chroma": "original"}]
)
def test_relit_then_blended_pixels_equal_the_formulas(options):
    """Two grey squares of 16 and 400 pixels: in grey, Lab's lightness is all there is."""
    before, relit = np.full((60, 60, 3), 60, np.uint8), np.full((60, 60, 3), 200, np.uint8)
    sprites = [square((60, 60), 5, 5, 20), square((60, 60), 40, 40, 4)]
    alpha = np.zeros((60, 60), np.uint8)
    alpha[5:25, 5:25] = alpha[40:44, 40:44] = 255
    (step,) = build_steps([{"type": "AreaWeightedBlend", "relighter": {"type": "GradientRelighter"}, **options}])
    final = finish(step, LoadedImage(before, alpha, [], sprites), relit, Light(90, 45))
    low, high, small = options.get("low", 0.3), options.get("high", 0.9), options.get("keep", "small") == "small"
    near, far = low + (high - low) / (1 + np.exp(-5)), low + (high - low) / (1 + np.exp(5))
    weights = {(45 - 3, 42): near if small else far, (10, 10): far if small else near, (55, 10): 0.0}

    def lightness(level):
        linear = ((level / 255 + 0.055) / 1.055) ** 2.4
        return 116 * np.cbrt(linear) - 16

    def level(light):
        linear = ((light + 16) / 116) ** 3
        return 255 * (1.055 * linear ** (1 / 2.4) - 0.055)

    for (row, column), weight in weights.items():
        wanted = level(weight * lightness(60) + (1 - weight) * lightness(200))
        assert np.abs(final[row, column] - wanted).max() <= 1, (row, column)
    assert area_weights(np.array([400, 16]), low, high, keep="small" if small else "large") == pytest.approx(
        [weights[10, 10], weights[42, 42]]
    )
    (plain,) = build_steps([{"type": "Relight", "relighter": {"type": "GradientRelighter"}}])
    np.testing.assert_array_equal(finish(plain, LoadedImage(before, alpha, [], sprites), relit, Light(90, 45)), relit)


def test_broken_images_are_told_or_copied(composed, tmp_path):
    copy = shutil.copytree(composed, tmp_path / "copy")
    (copy / "images/00000002.png").write_bytes(b"no image")
    (copy / "images/00000004.png").unlink()
    cv2.imwrite(str(copy / "images/00000005.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match=r"00000002\.png"):
        run(copy, tmp_path / "relit")
    report = run(copy, tmp_path / "relit", broken="skip")
    assert (report.counts["broken"], report.counts["relit"]) == (3, IMAGES - 3)
    assert (tmp_path / "relit/images/00000002.png").read_bytes() == b"no image"
    assert not (tmp_path / "relit/images/00000004.png").exists()
    reasons = {record["file_name"]: record.get("reason", "") for record in read_sidecar(tmp_path / "relit")}
    assert "pixels (height, width) that its annotations are for" in reasons["00000005.png"]
    assert "does not exist" in reasons["00000004.png"]


def test_coco_files_without_the_sidecar_and_images_with_alpha(tmp_path):
    """Transparent scenes: their own alpha tells the objects from the background that is drawn."""
    recipe = Recipe(canvas=(96, 96), backgrounds={"type": "none"}, image_format="png", formats=["coco"])
    synthesize(recipe, tmp_path / "bare", 2, progress=False)
    run(tmp_path / "bare", tmp_path / "relit", settings(relighter=Painter()))
    for record in read_sidecar(tmp_path / "relit"):
        before = cv2.imread(str(tmp_path / "bare/images" / record["file_name"]), cv2.IMREAD_UNCHANGED)
        after = cv2.imread(str(tmp_path / "relit/images" / record["file_name"]), cv2.IMREAD_UNCHANGED)
        assert (before.shape[2], after.shape[2]) == (4, 3)
        assert (after[before[..., 3] == 0] == record["tries"][0]["shade"]).all()
        assert (after[before[..., 3] == 255] == before[before[..., 3] == 255][:, :3]).all()
        assert record["tries"][0]["guard"]["colored"] == 0


@pytest.mark.parametrize(
    ("place", "message"),
    [("set", "apart from the data set"), ("set/inside", "apart from the data set"), (".", "apart from the data set")],
)
def test_output_is_elsewhere(composed, tmp_path, place, message):
    copy = shutil.copytree(composed, tmp_path / "set")
    before = contents(copy)
    with pytest.raises(ValueError, match=message):
        run(copy, tmp_path / place)
    assert contents(copy) == before


def test_folders_of_others_and_faulty_input(composed, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds letter\.txt"):
        run(composed, tmp_path / "full")
    run(composed, tmp_path / "relit")
    with pytest.raises(FileExistsError, match=r"belongs to another run .seed . instead of"):
        run(composed, tmp_path / "relit", settings(seed=1))
    with pytest.raises(FileNotFoundError, match="must be an existing folder"):
        run(tmp_path / "none", tmp_path / "out")
    (tmp_path / "bare/images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"objects\.jsonl, instances\.json or lvis_v1\.json"):
        run(tmp_path / "bare", tmp_path / "out")
    copy = shutil.copytree(composed, tmp_path / "unfinished")
    (copy / "manifest.json").unlink()
    (copy / ".shards").mkdir()
    with pytest.raises(ValueError, match="must be complete"):
        run(copy, tmp_path / "out")
    lines = (composed / "annotations/objects.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    copy = shutil.copytree(composed, tmp_path / "escape")
    (copy / "annotations/objects.jsonl").write_text(json.dumps({**first, "file_name": "../x.png"}) + "\n")
    with pytest.raises(ValueError, match="below the folder of images"):
        run(copy, tmp_path / "out")
    (copy / "annotations/objects.jsonl").write_text(lines[0] + "\n" + lines[0] + "\n")
    with pytest.raises(ValueError, match="describes one twice"):
        run(copy, tmp_path / "out")


def test_batches_hold_images_of_one_size(composed):
    images = ComposedSet(composed).images
    odd = [image.__class__(image.name, (64, 64), image.objects) for image in images[::4]]
    mixed = [other if other in odd else image for image, other in zip(images, images, strict=True)] + odd
    groups = batches_of(mixed, 3)
    assert sorted(len(group) for group in groups) == [1, 3, 3, 3, 3]
    assert all(len({image.size for image in group}) == 1 for group in groups)


def test_command_refuses_recipes_without_relighting(composed, tmp_path, capsys):
    (tmp_path / "recipe.py").write_text('canvas = (64, 64)\neffects = "default"\n')
    with pytest.raises(SystemExit) as ended:
        main(["relight", str(composed), "--out", str(tmp_path / "out"), "--recipe", str(tmp_path / "recipe.py")])
    assert ended.value.code == 2
    assert "must have one `Relight` or `AreaWeightedBlend`" in capsys.readouterr().err


def test_iclight_over_a_data_set(tmp_path, weights):
    """The real pipeline with small random weights: the same bytes after a failure, and within a level by batch size."""
    composed = tmp_path / "composed"
    synthesize(Recipe(canvas=(64, 64), formats=["objects"], image_format="png"), composed, 3, progress=False)
    relighter = {"type": "ICLightRelighter", **weights, "steps": 1}
    options = settings("AreaWeightedBlend", relighter, batch_size=2)
    run(composed, tmp_path / "whole", options)
    run(composed, tmp_path / "part", options, rank=1, world_size=2)
    assert run(composed, tmp_path / "part", options).made == 2
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    run(composed, tmp_path / "pairs", settings("AreaWeightedBlend", relighter, batch_size=1))
    for record, other in zip(read_sidecar(tmp_path / "whole"), read_sidecar(tmp_path / "pairs"), strict=True):
        drawn = [{key: each["tries"][0][key] for key in ("prompt", "direction", "seed")} for each in (record, other)]
        assert drawn[0] == drawn[1]
        one, two = (
            cv2.imread(str(tmp_path / name / "images" / record["file_name"])).astype(int) for name in ("whole", "pairs")
        )
        assert np.abs(one - two).max() <= 1
