"""The study of saliency on photographs: whom it judges on, its autoencoder and latents, its arms, and one small run."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from sos_mm.images import read_image, read_mask
from tests.helpers.photographs import BOXES, SIDE, write_photographs

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/benchmarks"))
import latent_memory
import photograph_saliency as study
import photograph_saliency_data as study_data
import photograph_saliency_report as study_report
import photograph_saliency_sheet as study_sheet
import saliency_study
import taef2
from photograph_saliency_arms import ARMS, arm_config

timm = pytest.importorskip("timm")
EXPECTED = {"train": ("1",), "val": ("7",)}


def write_weights(folder: Path, seed: int = 0) -> Path:
    """Random weights of TAEF2 in 16 bits."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("encoder", taef2.encoder()), ("decoder", taef2.decoder())):
        torch.save({key: value.half() for key, value in part.state_dict().items()}, folder / f"taef2_{name}.pth")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def args(photos, weights, tmp_path_factory) -> Namespace:
    """A command line, with all that a run needs."""
    work = tmp_path_factory.mktemp("study")
    torch.manual_seed(0)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    torch.save(whole, work / "theirs.pth")
    args = Namespace(
        photos=photos, taef2=weights, encoder=work / "theirs.pth", stamps=None, work_dir=work / "work",
        iterations=2, batch_size=2, composed=4, pixels=64, frozen=4, arms=["branch"], seeds=1,
    )  # fmt: skip
    begin(args)
    return args


def begin(args: Namespace) -> None:
    """Begins a study of the few photographs, or goes on with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "prepare", lambda *paths: study_data.prepare(*paths, EXPECTED))
        patch.setattr(study_data, "bank", loose_bank)
        study.begin(args)


def loose_bank(photos: Path, folder: Path, least: int, stamps: bool) -> dict:
    return dict(type="coco", annotations=str(folder / "cutouts.json"), images=str(photos / "train"))


def test_main_objects_are_single_large_ones():
    def chosen(*areas: float, group: int | None = None) -> bool:
        objects = [dict(area=area, iscrowd=int(place == group)) for place, area in enumerate(areas)]
        return study_data.main_object(objects, 1000) is not None

    assert chosen(40)
    assert chosen(600)
    assert not chosen(39)
    assert not chosen(601)
    assert chosen(300, 100, 90)
    assert not chosen(300, 101)
    assert chosen(10, 300, 10)
    assert not chosen(300, group=0)
    assert not chosen(300, 150, group=1)
    assert not chosen()


def test_the_lists_hold_each_photograph_once():
    lists = study_data.MAIN_OBJECTS
    assert {part: len(set(stems)) for part, stems in lists.items()} == {"train": 34, "val": 20}
    assert not set(lists["train"]) & set(lists["val"])


def test_photographs_to_judge_on_are_in_no_training_image(args, photos):
    data = args.work_dir / "data"
    assert sorted(path.name for path in (data / "test/images").iterdir()) == ["1.png", "7.png"]
    assert sorted(path.name for path in (data / "backgrounds").iterdir()) == ["4.png", "9.png"]
    cutouts = json.loads((data / "cutouts.json").read_text())
    assert {each["file_name"] for each in cutouts["images"]} == {"2.png", "3.png", "4.png"}
    assert {each["image_id"] for each in cutouts["annotations"]} == {2, 3, 4}
    for stem, part in (("1", "train"), ("7", "val")):
        x, y, width, height = BOXES[part][stem][0]
        truth = np.zeros((SIDE, SIDE), np.uint8)
        truth[y : y + height, x : x + width] = 255
        np.testing.assert_array_equal(read_mask(data / f"test/masks/{stem}.png"), truth)


def test_composed_images_have_a_salient_object_and_are_composed_once(args, photos, monkeypatch):
    masks = [read_mask(path) for path in sorted((args.work_dir / "data/train/masks").iterdir())]
    assert len(masks) == 4
    assert all(0.03 < (mask > 0).mean() < 0.85 for mask in masks)
    monkeypatch.setattr(study_data, "synthesize", lambda *_: pytest.fail("composed again"))
    study_data.compose(photos, args.work_dir / "data", 4)


def test_a_study_goes_on_with_images_of_the_same_recipe_only(args, monkeypatch):
    kept, composed = args.work_dir / "recipes.json", (args.work_dir / "data/train/done").stat().st_mtime_ns
    first = kept.read_bytes()
    # Versions before did not keep recipes.
    kept.unlink()
    begin(args)
    assert kept.read_bytes() == first
    assert (args.work_dir / "data/train/done").stat().st_mtime_ns == composed
    monkeypatch.setattr(study_data, "SIZE", (200, 320))
    with pytest.raises(ValueError, match="other values of crop for `train`: go on with the version that composed"):
        begin(args)
    assert kept.read_bytes() == first


def test_stamps_are_part_of_the_recipe():
    without, stamped = study_data.recipes(False), study_data.recipes(True)
    assert {key for key in without["train"] if without["train"][key] != stamped["train"][key]} == {
        "main",
        "distractors",
    }


def test_other_photographs_and_missing_ones_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match=r"34 photographs .* 35 differ, 000000000025 first"):
        study_data.prepare(photos, tmp_path, None)
    with pytest.raises(FileNotFoundError, match=r"--photos must name .* COCO 2017"):
        study_data.prepare(tmp_path / "nowhere", tmp_path, None, EXPECTED)
    with pytest.raises(FileNotFoundError, match="tuxpaint-stamps-default"):
        study_data.prepare(photos, tmp_path, tmp_path, EXPECTED)


def test_stamps_are_linked_by_category_without_cartoons(tmp_path):
    for path in ("animals/birds/crow.png", "animals/birds/cartoon/duck.png", "symbols/shapes/star.png"):
        (tmp_path / "stamps" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stamps" / path).write_bytes(b"png")
    study_data.link_stamps(tmp_path / "stamps", tmp_path / "links")
    assert [path.relative_to(tmp_path / "links").as_posix() for path in (tmp_path / "links").rglob("*.png")] == [
        "birds/crow.png"
    ]


@torch.no_grad()
def test_without_pooled_shortcuts_taef2_is_diffusers_tiny_autoencoder(weights):
    from diffusers import AutoencoderTiny

    codec = taef2.Taef2Codec(weights)
    theirs = AutoencoderTiny(latent_channels=32).eval()
    for part, layers in (("encoder", theirs.encoder.layers), ("decoder", theirs.decoder.layers)):
        state = codec.vae[part].state_dict()
        for name, value in state.items():
            if name.endswith("pool.3.weight"):
                value.zero_()
        common = [value for name, value in state.items() if ".pool." not in name]
        layers.load_state_dict(dict(zip(layers.state_dict(), common, strict=True)))
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    latents = codec.encode(images)
    assert latents.shape == (2, 32, 4, 6)
    torch.testing.assert_close(codec.unscaled(latents), theirs.encode(images).latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        codec.decode(latents), theirs.decode(codec.unscaled(latents)).sample, rtol=1e-4, atol=1e-4
    )


def test_pooled_shortcuts_are_added_before_the_convolutions():
    block = taef2.Block(pooled=True)
    maps = torch.randn(1, 64, 5, 5)
    before = maps + block.pool(maps)
    torch.testing.assert_close(block(maps), torch.relu(block.conv(before) + before))
    assert not torch.allclose(block(maps), torch.relu(block.conv(maps) + maps))


def test_missing_and_other_weights_are_refused(tmp_path, weights):
    with pytest.raises(FileNotFoundError, match=r"taef2_encoder\.pth does not exist: put .*madebyollin"):
        taef2.Taef2Codec(tmp_path)
    for content in ({"weight": torch.ones(3)}, torch.ones(3)):
        torch.save(content, tmp_path / "taef2_encoder.pth")
        with pytest.raises(ValueError, match="does not hold the weights of TAEF2"):
            taef2.Taef2Codec(tmp_path)
    (tmp_path / "taef2_encoder.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="does not hold the weights of TAEF2"):
        taef2.Taef2Codec(tmp_path)


def test_latents_are_computed_once_for_the_same_pixels_and_weights(tmp_path, weights, monkeypatch):
    def codec(of: Path) -> latent_memory.RememberingCodec:
        return latent_memory.RememberingCodec(dict(type="Taef2Codec", weights=str(of)), str(tmp_path / "latents"))

    first, images = codec(weights), torch.rand(3, 3, 16, 16)
    found = first.encode(images)
    torch.testing.assert_close(found, first.codec.encode(images).half().float(), rtol=2e-3, atol=1e-4)
    second = codec(weights)
    monkeypatch.setattr(second.codec, "encode", lambda _: pytest.fail("encoded again"))
    assert torch.equal(second.encode(images.flip(0)), found.flip(0))
    other = codec(write_weights(tmp_path / "other", seed=1))
    assert not torch.allclose(other.encode(images), found, atol=1e-2)
    assert len(list((tmp_path / "latents").iterdir())) == 6


def test_arms_keep_what_makes_them_that(args):
    configs = args.work_dir / "configs"
    models = {name: arm_config(name, configs, args.taef2, args.work_dir / "latents", 64).model for name in ARMS}
    heads = {name: model.decode_head for name, model in models.items()}
    assert models["branch"].type == "SalientBranchSegmentor"
    assert heads["full"].afim.type == "AttentionFeatureInteraction"
    assert heads["plain_attention"].afim.type == "PlainCrossAttention"
    assert heads["no_aux"].loss_aux is None
    assert models["no_cbam"].neck.attention is False
    assert models["no_encoder"].backbone is models["no_encoder"].neck is heads["no_encoder"].afim is None
    assert models["one_step"].test_cfg.num_inference_steps == 1
    assert heads["one_step"].loss_diffusion is None
    assert models["full"].test_cfg.num_inference_steps == 4
    unets = {name: head.unet.architecture for name, head in heads.items() if "unet" in head}
    assert models.keys() - unets.keys() == {"branch", "branch_from_branch"}
    assert len({str(unet) for unet in unets.values()}) == 1
    for name, model in models.items():
        assert model.backbone is None or model.backbone.model_name == "tf_efficientnet_lite0"
        MODELS.build(model)
        assert ARMS[name].start is None or name.endswith(f"from_{ARMS[name].start}")


def test_one_seed_of_every_arm_comes_first():
    runs = study.planned_runs(list(ARMS), 3)
    assert runs[: len(ARMS)] == [(arm, 0) for arm in ARMS]
    assert runs[len(ARMS) :] == [(arm, seed) for seed in (1, 2) for arm in ARMS if ARMS[arm].compared]
    compared = ["branch", "one_step", "full", "plain_attention", "one_step_from_branch", "branch_from_branch"]
    assert [arm for arm in ARMS if ARMS[arm].compared] == compared


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_maps(args, monkeypatch):
    monkeypatch.setattr(study, "EPOCH", 1)
    monkeypatch.setattr(study, "SAVED_EVERY", 1)
    init_default_scope("mmseg")
    study.run(args, "full", 0)
    folder = args.work_dir / "full-0"
    found = {path.name: read_image(path, 3) for path in (folder / "maps").iterdir()}
    folder.rename(args.work_dir / "uninterrupted")

    def interrupt(sampler, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        sampler.epoch = epoch

    with monkeypatch.context() as patch:
        patch.setattr(saliency_study.ShortEpochs, "set_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            study.run(args, "full", 0)
    assert not (folder / "result.json").exists()
    study.run(args, "full", 0)
    assert json.loads((folder / "result.json").read_text())["iterations"] == 2
    assert not list(folder.glob("epoch_*.pth"))
    for name, saliency in found.items():
        np.testing.assert_array_equal(read_image(folder / "maps" / name, 3), saliency)


@pytest.mark.slow
def test_arms_train_on_and_are_reported_and_drawn(args, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "EPOCH", 1)
    study.run(args, "one_step_from_branch", 0)
    runs = [("branch", 0), ("one_step_from_branch", 0)]
    trained = {arm: torch.load(args.work_dir / f"{arm}-0/weights.pth", weights_only=True) for arm, _ in runs}
    stems = [each["state_dict"]["backbone.timm_model.conv_stem.weight"] for each in trained.values()]
    whole = torch.load(args.encoder, weights_only=True)
    # The frozen stem is the given one, and the second run began where the first had ended.
    assert all(torch.equal(stem, whole["conv_stem.weight"]) for stem in stems)
    means = [each["state_dict"]["backbone.timm_model.blocks.6.0.bn3.num_batches_tracked"] for each in trained.values()]
    assert [int(each) for each in means] == [2, 4]
    text = study_report.report(args.work_dir, [*runs, ("full", 1)])
    assert "| branch alone | 1 |" in text
    assert "from the branch's encoder and fusion | 1 |" in text
    assert "runs | processor s" in text
    assert "beyond branch alone" in text
    study_sheet.write_sheet(args.work_dir, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    monkeypatch.setattr(study.Runner, "train", lambda runner: pytest.fail("trained again"))
    study.run(args, "one_step_from_branch", 0)


def test_differences_are_paired_by_seed_and_photograph():
    def result(*values: float) -> dict:
        return {"scores": {str(place): dict.fromkeys(study_report.SHOWN, value) for place, value in enumerate(values)}}

    done = {"branch": {0: result(0.1, 0.5), 1: result(0.2, 0.4)}, "full": {0: result(0.2, 0.6), 2: result(0.9, 0.9)}}
    row = study_report.difference_table(done, {}, "branch").splitlines()[-1]
    assert row.startswith("| full, 4 steps | 1 | +0.100 [+0.100, +0.100] |")
    head, _, row = study_report.difference_table(done, {}, "full").splitlines()
    assert head.startswith("| beyond full, 4 steps |")
    assert row.startswith("| branch alone | 1 | -0.100 [-0.100, -0.100] |")
    low, high = study_report.bounds(np.array([0.0, 1.0]))
    assert (low, high) == (0, 1)
    many = np.random.default_rng(0).normal(1, 2, 400)
    # Of many values it is the interval of the normal distribution.
    assert study_report.bounds(many) == pytest.approx(many.mean() + np.array([-1.96, 1.96]) * many.std() / 20, abs=0.02)
    assert "No run" in study_report.report(Path("nowhere"), [("branch", 0)])


def test_references_are_judged(args, monkeypatch):
    class Cutter:
        def __init__(self, path, threads):
            pass

        def saliency(self, image):
            return (image.mean(2) > 120).astype(np.float32)

    monkeypatch.setattr(study, "OnnxCutter", Cutter)
    study.refer(args.work_dir, "bright", Path("bright.onnx"))
    scores = json.loads((args.work_dir / "references/bright/result.json").read_text())["scores"]
    assert set(scores) == {"1", "7"}
    assert scores["1"]["MAE"] < 0.01
    assert study.reference("a=b=c") == ("a", Path("b=c"))


@pytest.mark.parametrize("missing", ["photos", "taef2", "encoder"])
def test_an_incomplete_command_line_is_refused_in_one_line(missing, monkeypatch, capsys, tmp_path):
    given = [f"--{name}=x" for name in ("photos", "taef2", "encoder") if name != missing]
    monkeypatch.setattr(sys, "argv", ["photograph_saliency.py", *given, f"--work-dir={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        study.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: --{missing} must be given, unless with --report: see --help.\n"
