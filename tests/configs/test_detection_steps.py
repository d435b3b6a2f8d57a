"""One config of each family over mmdet trains and validates, shrunk, on data laid out as the real ones."""

import gc
import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sos_mm.cli.config import standalone_text
from sos_mm.engine.launch import build_runner, build_trained
from sos_mm.synthesis import load_recipe, synthesize
from tests.helpers.mmdet_data import make_data, make_language_model

CONFIGS = Path(__file__).parents[2] / "configs"
SOURCES = ["FC-100K", "flickr30k_entities", "objects365v1", "gqa"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``data`` as the configs expect it, and a language model."""
    folder = tmp_path_factory.mktemp("place")
    make_data(folder)
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    make_language_model(folder / "bert", **sizes)
    # Data sets of mmengine collect garbage, each time among all that was ever imported.
    gc.freeze()
    yield folder
    gc.unfreeze()


@pytest.fixture
def at_place(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("SOS_MM_LANGUAGE_MODEL", str(place / "bert"))
    # Runners write their config down, which takes longer than a step.
    monkeypatch.setattr(Config, "pretty_text", "")
    return place


class Watch(Hook):
    """Notes what each step is fed and gives."""

    def __init__(self):
        self.losses, self.files = [], []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(float(outputs["loss"]))
        self.files += [Path(sample.img_path).parts for sample in data_batch["data_samples"]]


def smaller(part: object) -> None:
    """Makes a config's images small, its models without pretrained weights, and its batches those of one process."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key in ("scale", "scales", "crop_size", "img_scale", "size") and isinstance(value, list | tuple):
            part[key] = [(64, 96)] if isinstance(value[0], list | tuple) else (96, 96)
        elif key == "init_cfg":
            part[key] = None
        elif key == "norm_cfg" and value and value["type"] == "SyncBN":
            part[key] = dict(type="BN")
        elif isinstance(value, dict | list):
            smaller(value)


def shrink_grounding(model: Config) -> None:
    model.backbone.update(embed_dims=24, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), with_cp=False)
    model.neck.update(in_channels=[48, 96, 192])
    model.encoder.num_layers = model.decoder.num_layers = 1
    model.num_queries = 20
    model.test_cfg.max_per_img = 10


def shrink_mask2former(model: Config) -> None:
    model.backbone.depth = 18
    head = model.panoptic_head
    head.update(in_channels=[64, 128, 256, 512], num_queries=10)
    head.pixel_decoder.encoder.num_layers = head.transformer_decoder.num_layers = 1
    model.train_cfg.num_points = 64
    model.test_cfg.max_per_image = 10


def shrink_mask_rcnn(model: Config) -> None:
    channels = 32
    if model.backbone.type == "SwinTransformer":
        model.backbone.update(embed_dims=24, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
        model.neck.update(in_channels=[24, 48, 96, 192], out_channels=channels)
    else:
        model.backbone.depth = 18
        model.neck.update(in_channels=[64, 128, 256, 512], out_channels=channels)
    model.rpn_head.update(in_channels=channels, feat_channels=channels)
    roi = model.roi_head
    roi.bbox_roi_extractor.out_channels = roi.mask_roi_extractor.out_channels = channels
    roi.bbox_head.update(in_channels=channels, fc_out_channels=channels)
    roi.mask_head.update(num_convs=1, in_channels=channels, conv_out_channels=channels)
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=50)
    # Hardly trained, it is sure of nothing.
    model.test_cfg.rcnn.update(max_per_img=10, score_thr=0.0)


def shrink_rtmdet(model: Config) -> None:
    model.test_cfg.update(score_thr=0.0, max_per_img=10)


def prepare(name: str, shrink, work_dir: Path) -> Config:
    """A config, shrunk: for one epoch, or for two steps where it counts them."""
    config = Config.fromfile(CONFIGS / name)
    smaller(config.model)
    shrink(config.model)
    for part in ("train", "val", "test"):
        loader = config[f"{part}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False)
        smaller(loader.dataset)
    smaller(config.get("custom_hooks", []))
    config.optim_wrapper.type = "OptimWrapper"
    if config.train_cfg.get("by_epoch", config.train_cfg.get("type") != "IterBasedTrainLoop"):
        config.train_cfg.update(max_epochs=1, val_interval=1, dynamic_intervals=None)
    else:
        config.train_cfg.update(max_iters=2, val_interval=2, dynamic_intervals=None)
    config.default_hooks.checkpoint.interval = 1
    config.update(work_dir=str(work_dir), launcher="none", load_from=None)
    return config


def train(config: Config) -> tuple[Runner, Watch]:
    """Trains, and checks that it did: finite losses, weights that moved, a measured validation."""
    config.experiment_name = Path(config.work_dir).name
    runner, watch = build_runner(config), Watch()
    runner.register_hook(watch)
    before = {}
    runner.register_hook(BeforeTraining(before))
    runner.train()
    assert watch.losses, "no step was made"
    assert np.isfinite(watch.losses).all()
    after = dict(runner.model.named_parameters())
    moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert len(moved) > len(before) / 2
    return runner, watch


class BeforeTraining(Hook):
    """Keeps the weights that training begins with."""

    def __init__(self, kept):
        self.kept = kept

    def before_train(self, runner):
        self.kept.update({n: p.detach().clone() for n, p in runner.model.named_parameters() if p.requires_grad})


def scalars(runner: Runner) -> set[str]:
    return set(runner.message_hub.log_scalars)


def test_grounding(at_place, tmp_path):
    """Real and composed data through the ratio sampler, all from their places; then what was trained is judged."""
    config = prepare(
        "grounding/mm-grounding-dino_swin-t_real-composed-100k.py", shrink_grounding, tmp_path / "grounding"
    )
    # Fewer than the objects: not all of them are denoised.
    config.model.dn_cfg.group_cfg.num_dn_queries = 2
    runner, watch = train(config)
    sources = [next(part for part in parts if part in SOURCES) for parts in watch.files]
    counts = {source: sources.count(source) for source in SOURCES}
    # Nine in twelve are composed.
    assert len(sources) == runner.max_iters * 4
    assert abs(counts["FC-100K"] - len(sources) * 9 / 12) < 2
    assert all(abs(counts[source] - len(sources) / 12) < 1 for source in SOURCES[1:])
    assert "val/lvis_fixed_ap/AP" in scalars(runner)
    judge(tmp_path, "evaluate-lvis-minival", "lvis_fixed_ap/APr")
    judge(tmp_path, "evaluate-intra-class", "intra_class/average_gap")


def test_grounding_without_target(at_place, tmp_path):
    """Captions of several expressions and single ones train, those without target included."""
    name = "grounding/mm-grounding-dino_swin-t_referring-no-target-100k.py"
    expressions = (Path("data/sos/FC-100K/annotations") / "odvg_expressions.jsonl").read_text().splitlines()
    silent = sum(not json.loads(line)["grounding"]["regions"] for line in expressions)
    assert 0 < silent < len(expressions)
    runner, watch = train(prepare(name, shrink_grounding, tmp_path / "referring"))
    sources = [next(part for part in parts if part in SOURCES) for parts in watch.files]
    assert abs(sources.count("FC-100K") - len(sources) * 6 / 9) < 2
    assert type(runner.model).__name__ == "CappedGroundingDINO"


def judge(folder: Path, name: str, measured: str) -> None:
    """Evaluates the trained checkpoint by mmdet's own model, whose weights have the same names."""
    checkpoint = folder / "grounding/epoch_1.pth"
    saved = torch.load(checkpoint, weights_only=False)
    state = dict(saved["state_dict"])
    # The published weights were made with older transformers, which saved this too.
    saved["state_dict"]["language_model.language_backbone.body.model.embeddings.position_ids"] = torch.arange(512)
    torch.save(saved, folder / "published.pth")
    config = prepare(f"grounding/mm-grounding-dino_swin-t_{name}.py", shrink_grounding, folder / name)
    # That of a training config must not replace the checkpoint's.
    config.load_from = str(folder / "absent.pth")
    runner = build_trained(config, str(folder / "published.pth"))
    assert measured in runner.test()
    assert type(runner.model).__name__ == "GroundingDINO"
    assert all(torch.equal(value, state[key]) for key, value in runner.model.state_dict().items())


def test_mask2former_with_composed_data(at_place, tmp_path):
    runner, watch = train(
        prepare("segmentation/mask2former_r50_coco-50pct_composed.py", shrink_mask2former, tmp_path / "composed")
    )
    assert [sum("coco" in parts for parts in watch.files), sum("COCO-50K" in parts for parts in watch.files)] == [2, 2]
    assert "val/coco/segm_mAP" in scalars(runner)


@pytest.mark.slow
def test_mask2former_on_composed_data_alone(at_place, tmp_path):
    """An ablation: composed images in training, COCO's in validation."""
    config = prepare("segmentation/ablations/mask2former_r50_naive.py", shrink_mask2former, tmp_path / "naive")
    runner, watch = train(config)
    assert len(watch.files) == 4
    assert all("ablations" in parts and "naive" in parts for parts in watch.files)
    assert "val/coco/segm_mAP" in scalars(runner)


def test_mask2former_with_pasting(at_place, tmp_path):
    config = prepare("segmentation/mask2former_r50_coco-100pct_paste.py", shrink_mask2former, tmp_path / "paste")
    assert "val/coco/segm_mAP" in scalars(train(config)[0])


def test_lvis_in_two_stages(at_place, tmp_path):
    """The second stage begins where the first ended."""
    first = prepare("segmentation/mask-rcnn_swin-s_lvis_stage1.py", shrink_mask_rcnn, tmp_path / "stage1")
    _, watch = train(first)
    assert all("LVIS-50K" in parts for parts in watch.files)
    second = prepare("segmentation/mask-rcnn_swin-s_lvis_stage2.py", shrink_mask_rcnn, tmp_path / "stage2")
    second.load_from = str(tmp_path / "stage1/epoch_1.pth")
    runner, watch = train(second)
    assert all("lvis_v1" in parts for parts in watch.files)
    assert "val/lvis/segm_AP" in scalars(runner)


@pytest.mark.parametrize(
    ("name", "shrink"),
    [
        pytest.param("detection/mask-rcnn_r50_coco_paste.py", shrink_mask_rcnn, marks=pytest.mark.slow),
        ("detection/rtmdet-ins_tiny_coco_paste.py", shrink_rtmdet),
    ],
)
def test_detection_with_pasting(at_place, tmp_path, name, shrink):
    runner, _ = train(prepare(name, shrink, tmp_path / "detection"))
    assert "val/coco/segm_mAP" in scalars(runner)


@pytest.mark.slow
def test_detector_of_drawn_classes(at_place, tmp_path):
    """A copy of the config with other classes, on composed images."""
    recipe = load_recipe(CONFIGS / "synthesis/sample_ten.py")
    for seed, name in enumerate(("round_1", "labelled", "test")):
        synthesize(recipe, at_place / "data" / name, 4, seed=seed, progress=False)
    text = standalone_text("detection/rtmdet-ins_tiny_from_words.py")
    names = [
        each["name"] for each in json.loads(Path("data/test/annotations/instances.json").read_text())["categories"]
    ]
    text = text.replace('("coffee mug", "desk lamp", "stapler")', repr(tuple(names)))
    (tmp_path / "detector.py").write_text(text)
    config = prepare(str(tmp_path / "detector.py"), shrink_rtmdet, tmp_path / "words")
    assert config.model.bbox_head.num_classes == 10
    runner, watch = train(config)
    assert all("round_1" in parts for parts in watch.files)
    assert "val/coco/segm_mAP" in scalars(runner)
    # The second stage, without mosaic.
    switch = next(each for each in config.custom_hooks if each["type"] == "PipelineSwitchHook")
    config.train_dataloader.dataset.pipeline = switch["switch_pipeline"]
    config.work_dir = str(tmp_path / "stage2")
    train(config)
