"""Banks of drawn segments: layout, provenance, interruption, several processes, and what is refused."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from sos_mm.generation import making, shards
from sos_mm.generation.loading import load_pipeline
from sos_mm.generation.making import Rank, make_segments
from sos_mm.generation.recipe import DrawingRecipe
from sos_mm.generation.source_images import seed_of
from sos_mm.segments import build_bank, build_index
from sos_mm.segments.readers.release import read_release_layout
from tests.generation.conftest import recipe_of
from tests.generation.test_text_to_image import plain
from tests.helpers.cutters import DiscCutter
from tests.helpers.requirements import needs_flux

ROOT = Path(__file__).resolve().parents[2]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def provenance(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "provenance.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    """A complete bank, made without interruption."""
    out = tmp_path_factory.mktemp("bank") / "out"
    return make_segments(recipe_of(models), out, device="cpu", progress=False)


def test_bank_is_read_by_the_release_reader_and_the_index(made, tmp_path):
    config = dict(type="release", root=str(made.out / "segments"), metadata=str(made.out / "metadata.json"))
    bank = build_bank(config)
    assert (made.complete, made.drawn, made.kept, dict(made.rejected), made.empty) == (True, 12, 12, {}, ())
    assert (len(bank), bank.categories) == (12, ("dog", "mug"))
    build_index(read_release_layout(config["root"], config["metadata"]), tmp_path / "bank.arrow")
    assert len(build_bank(dict(type="index", path=str(tmp_path / "bank.arrow")))) == 12
    told = {record["id"]: record for record in provenance(made.out)}
    for segment in map(bank.load, range(len(bank))):
        record = told[segment.source_id.rsplit("/", 1)[1]]
        assert (segment.phrase, segment.attributes) == (record["phrase"], tuple(record["features"]))
    assert not (made.out / ".drawing").exists()


def test_segments_are_what_diffusers_draws_by_the_provenance(made, models):
    """From prompt and seed of each line alone."""
    settings = recipe_of(models)
    pipeline = load_pipeline(str(models["stable_diffusion"]), device="cpu")
    records = provenance(made.out)
    assert [record["seed"] for record in records] == [seed_of(0, place) for place in range(12)]
    assert len({record["prompt"] for record in records}) == 6
    for record in records[::5]:
        drawn = plain(pipeline, settings.sampling, record["prompt"], record["seed"])
        x, y, width, height = record["scores"]["box"]
        rgba = cv2.cvtColor(cv2.imread(str(made.out / record["file"]), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
        alpha = DiscCutter().cut(np.zeros((32, 32, 3)))[y : y + height, x : x + width]
        np.testing.assert_array_equal(rgba[..., 3], alpha)
        inside = alpha == 255
        assert np.abs(rgba[..., :3].astype(int) - drawn[y : y + height, x : x + width])[inside].max() <= 1
        assert record["licence"] == "none: random weights"
        assert (record["reasons"], record["scores"]["components"]) == ([], 1)


def test_manifest(made, models):
    manifest = json.loads((made.out / "manifest.json").read_text())
    assert manifest["model"]["pipeline"] == "StableDiffusionPipeline"
    assert len(manifest["model"]["sha256"]) == 64
    assert manifest["recipe"] == recipe_of(models).to_dict()
    assert DrawingRecipe.from_dict(manifest["recipe"]).sha256 == manifest["recipe_sha256"]
    assert (manifest["kept_of"], manifest["images"]) == ({"mug": 6, "dog": 6}, 12)
    assert manifest["libraries"]["torch"]


def test_a_complete_bank_is_left_as_it_is(made, models):
    before = digests(made.out)
    again = make_segments(recipe_of(models), made.out, device="cpu", progress=False)
    assert (again.drawn, again.kept) == (0, 12)
    assert digests(made.out) == before
    with pytest.raises(FileExistsError, match=r"seed . instead of"):
        make_segments(recipe_of(models), made.out, seed=1, device="cpu", progress=False)
    with pytest.raises(FileExistsError, match="of another recipe"):
        make_segments(recipe_of(models, batch_size=2), made.out, device="cpu", progress=False)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("at", ["shard 1", "join"])
def test_interrupted_and_resumed(made, models, tmp_path, monkeypatch, at):
    """StoppedError in the middle of a shard, or while the shards are joined."""
    calls = {"encode": 0, "move": 0}

    def stopping(name, function, when):
        def call(*args):
            calls[name] += 1
            if calls[name] == when:
                raise StoppedError
            return function(*args)

        return call

    with monkeypatch.context() as patched:
        if at == "join":
            patched.setattr("sos_mm.generation.joining.move", stopping("move", shards.move, 4))
        else:
            patched.setattr(shards, "encode_png", stopping("encode", shards.encode_png, 8))
        with pytest.raises(StoppedError):
            make_segments(recipe_of(models), tmp_path / "out", device="cpu", progress=False)
    assert (tmp_path / "out/.drawing").exists()
    report = make_segments(recipe_of(models), tmp_path / "out", device="cpu", progress=False)
    assert report.drawn == {"shard 1": 7, "join": 0}[at]
    assert digests(tmp_path / "out") == digests(made.out)


def start(recipe, out, **environment) -> subprocess.Popen:
    """Starts the command of a recipe in a process of its own."""
    file = out.parent / "recipe.json"
    file.write_text(json.dumps(recipe.to_dict()))
    command = [sys.executable, "-m", "sos_mm", "draw", str(file), "--out", str(out), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_as_torchrun_starts_them(made, models, tmp_path):
    """Each takes its shards, and the last one joins them."""
    out = tmp_path / "out"
    processes = [start(recipe_of(models), out, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    told = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert any("12 segments" in text for text, _ in told)
    assert digests(out) == digests(made.out)


def test_ranks(monkeypatch):
    assert Rank(1, 3).order(8) == [1, 4, 7, 0, 2, 3, 5, 6]
    assert Rank(2, 3).order(1) == [0]
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Rank.of_environment() == Rank(3, 4)
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(ValueError, match="must be in"):
        Rank.of_environment()
    monkeypatch.setenv("RANK", "x")
    with pytest.raises(ValueError, match="must be integers"):
        Rank.of_environment()


def test_a_bank_that_another_process_completes_meanwhile_is_reported(made, models, tmp_path, monkeypatch):
    """The other one removes the folder of the work while this one loads its models."""
    out, load, done = tmp_path / "bank", making.Drawer, []

    def load_slowly(*arguments):
        if not done:
            done.append(True)
            done.append(make_segments(recipe_of(models), out, device="cpu", progress=False))
        return load(*arguments)

    monkeypatch.setattr(making, "Drawer", load_slowly)
    report = make_segments(recipe_of(models), out, device="cpu", progress=False)
    assert (report.complete, report.drawn, report.kept) == (True, 0, done[1].kept)
    assert done[1].drawn == 12
    assert digests(out) == digests(made.out)


def test_a_claimed_shard_is_left_to_its_process(models, tmp_path):
    """A second process that finds a shard claimed makes the others, and leaves joining to the first."""
    out, recipe = tmp_path / "out", recipe_of(models)
    shards.begin(out, making.identity_of(recipe, 0))
    with shards.claimed(out, 1) as is_mine:
        assert is_mine
        report = make_segments(recipe, out, device="cpu", progress=False)
        assert (report.complete, report.drawn) == (False, 7)
        assert "other processes" in report.describe()
    assert make_segments(recipe, out, device="cpu", progress=False).drawn == 5


def test_a_damaged_shard_is_made_again(made, models, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    monkeypatch.setattr("sos_mm.generation.joining.move", lambda *_: (_ for _ in ()).throw(StoppedError))
    with pytest.raises(StoppedError):
        make_segments(recipe_of(models), out, device="cpu", progress=False)
    monkeypatch.undo()
    damaged = next((out / ".drawing/000001").glob("*.cutout.png"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert make_segments(recipe_of(models), out, device="cpu", progress=False).drawn == 5
    assert "shard 1 is damaged and is made again" in capsys.readouterr().err
    assert digests(out) == digests(made.out)


def test_rejected_images_are_counted_and_kept(models, tmp_path):
    """The second disc is moved by more than agreement allows."""
    recipe = recipe_of(
        models,
        second_cutter=dict(type="tests.helpers.cutters.DiscCutter", right=9),
        filters=dict(area=(0.0, 0.2), soft=1.0),
        keep_rejected=True,
    )
    report = make_segments(recipe, tmp_path / "out", device="cpu", progress=False)
    assert (report.kept, report.rejected) == (0, {"cutters disagree": 12})
    assert report.empty == ("mug", "dog")
    records = provenance(tmp_path / "out")
    assert {tuple(record["reasons"]) for record in records} == {("cutters disagree", "too large")}
    assert records[3]["scores"]["agreement"] < 0.5
    image = cv2.imread(str(tmp_path / "out" / records[3]["file"]))
    assert image.shape == (32, 32, 3)
    assert len(list((tmp_path / "out/rejected/cutters_disagree").iterdir())) == 12
    assert "12 images were rejected: 12 cutters disagree" in report.describe()


def test_near_duplicates_are_left_out(models, tmp_path):
    """Of every two images of one prompt that are the same but for their seed: with all hashes near, one a category."""
    recipe = recipe_of(models, filters=dict(area=(0.0, 1.0), soft=1.0, duplicates=31))
    report = make_segments(recipe, tmp_path / "out", device="cpu", progress=False)
    records = provenance(tmp_path / "out")
    kept: list[dict] = []
    for record in records:
        hashes = [int(each["scores"]["hash"], 16) for each in kept if each["category"] == record["category"]]
        near = any((int(record["scores"]["hash"], 16) ^ other).bit_count() <= 31 for other in hashes)
        assert record["reasons"] == (["near-duplicate"] if near else [])
        if not near:
            kept.append(record)
    assert 2 <= len(kept) == report.kept < 12
    # Words only of sub-categories that have segments: the reader refuses others.
    build_bank(dict(type="release", root=str(tmp_path / "out/segments"), metadata=str(tmp_path / "out/metadata.json")))


@needs_flux
def test_flux_and_a_text_model(models, tmp_path):
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    from tests.helpers.pipelines import clip_text_model, clip_tokenizer

    tokenizer = clip_tokenizer(tmp_path / "made")
    vision = dict(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=32,
    )
    text = clip_text_model(tokenizer).config
    CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision, projection_dim=32)).save_pretrained(
        tmp_path / "clip"
    )
    tokenizer.save_pretrained(tmp_path / "clip")
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path / "clip")
    recipe = recipe_of(
        models,
        "flux",
        text_model=dict(source=str(tmp_path / "clip")),
        filters=dict(area=(0.0, 1.0), soft=1.0, duplicates=None, rank=1),
    )
    report = make_segments(recipe, tmp_path / "out", device="cpu", progress=False)
    records = provenance(tmp_path / "out")
    for record in records:
        assert -1 <= record["scores"]["similarity"] <= 1
        assert record["reasons"] == (["another object"] if record["scores"]["rank"] == 2 else [])
    assert report.kept == sum(record["scores"]["rank"] == 1 for record in records)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["model"]["pipeline"] == "FluxPipeline"
    assert len(manifest["text_model.source"]) == 64


def test_a_full_disk_is_explained(models, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "encode_png", full)
    with pytest.raises(OSError, match=r"The disk of .* is full"):
        make_segments(recipe_of(models), tmp_path / "out", device="cpu", progress=False)


def test_a_failed_start_releases_the_folder(models, tmp_path):
    """So that a corrected recipe can use it."""
    wrong = recipe_of(models, model=dict(source=str(tmp_path / "none")))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        make_segments(wrong, tmp_path / "out", device="cpu", progress=False)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(FileExistsError, match=r"holds mine\.txt"):
        make_segments(recipe_of(models), tmp_path / "out", device="cpu", progress=False)


def test_a_changed_model_is_noticed(models, tmp_path, monkeypatch):
    model = tmp_path / "model"
    shutil.copytree(models["stable_diffusion"], model)
    recipe = recipe_of(models, model=dict(source=str(model)))
    monkeypatch.setattr("sos_mm.generation.joining.move", lambda *_: (_ for _ in ()).throw(StoppedError))
    with pytest.raises(StoppedError):
        make_segments(recipe, tmp_path / "out", device="cpu", progress=False)
    config = model / "scheduler/scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    with pytest.raises(FileExistsError, match="began with another model"):
        make_segments(recipe, tmp_path / "out", device="cpu", progress=False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modle": {}}, "Did you mean 'model'?"),
        ({"model": {"sorce": "x"}}, "Did you mean 'source'?"),
        ({"model": {}}, "`model.source` must be"),
        ({"model": "x"}, "`model` must be a dict"),
        ({"prompts": {"type": "template"}}, "Did you mean 'templates'?"),
        ({"prompts": {"type": "templates", "number": 3}}, "key of prompts"),
        ({"filters": {"are": (0, 1)}}, "Did you mean 'area'?"),
        ({"images_per_prompt": 0}, "`images_per_prompt` must be an integer"),
        ({"batch_size": 2.5}, "`batch_size` must be an integer"),
        ({"text_model": {"dtype": "float32"}}, "`text_model.source` must be"),
    ],
)
def test_faulty_recipes(models, changed, said):
    with pytest.raises(ValueError, match=said):
        recipe_of(models, **changed)


def test_missing_keys_and_no_prompts(models, tmp_path):
    with pytest.raises(ValueError, match="must have `model`"):
        DrawingRecipe.from_dict(dict(categories=["mug"], cutter={}))
    (tmp_path / "empty.jsonl").write_text("")
    recipe = recipe_of(models, prompts=dict(type="file", path=str(tmp_path / "empty.jsonl")))
    with pytest.raises(ValueError, match=r"empty\.jsonl.*(empty|holds none)"):
        make_segments(recipe, tmp_path / "out", device="cpu", progress=False)


def test_command(models, tmp_path, capsys):
    from sos_mm.cli import main

    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe_of(models).to_dict()))
    prompts = str(tmp_path / "prompts.jsonl")
    assert main(["draw", str(file), "--out", prompts, "--prompts-only"]) == 0
    assert "6 prompts for 12 images" in capsys.readouterr().out
    options = ["--cfg-options", "prompts.type=file", f"prompts.path={prompts}", "prompts._delete_=True"]
    assert main(["draw", str(file), "--out", str(tmp_path / "out"), "--device", "cpu", *options]) == 0
    assert f'segments = dict(type="release", root="{tmp_path / "out/segments"}"' in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["draw", str(file), "--out", str(tmp_path / "out"), "--device", "gpu"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
