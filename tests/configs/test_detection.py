"""Configs over mmdet: all load, build at full size without memory, and name only what there is."""

import functools
import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
import mmdet
import mmdet.registry as registries
from mmdet.models.language_models import bert
from mmengine.config import Config, ConfigDict
from mmengine.config import config as config_module
from mmengine.registry import init_default_scope

from sos_mm.engine.launch import RUNNER_KEYS
from tests.helpers.mmdet_data import make_language_model

CONFIGS = Path(__file__).parents[2] / "configs"
PLAIN = "mask2former_r50_coco"
GROUNDING = "grounding/mm-grounding-dino_swin-t_"
ALL = sorted(
    str(path.relative_to(CONFIGS))
    for family in ("detection", "grounding", "segmentation")
    for path in (CONFIGS / family).rglob("*.py")
)


@pytest.fixture(scope="module", autouse=True)
def full_size_language_model(tmp_path_factory):
    """bert-base-uncased's sizes and a tokenizer, without weights: models are built without memory."""
    folder = make_language_model(tmp_path_factory.mktemp("language") / "bert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOS_MM_LANGUAGE_MODEL", str(folder))
        # A config of mmdet is looked up in a hundred files, each time anew.
        patch.setattr(config_module, "_get_external_cfg_path", functools.cache(config_module._get_external_cfg_path))
        yield folder
    for cached in (load, build_on_meta):
        cached.cache_clear()


@functools.cache
def load(name: str) -> Config:
    """A config; not to be changed."""
    return Config.fromfile(CONFIGS / name)


def build(name: str) -> torch.nn.Module:
    """The model of a config on the meta device; of configs with equal models one is built."""
    return build_on_meta(json.dumps(load(name).model.to_dict(), sort_keys=True))


@functools.cache
def build_on_meta(model: str) -> torch.nn.Module:
    init_default_scope("mmdet")
    with pytest.MonkeyPatch.context() as patch:
        # Weights cannot be loaded there, and Swin asks for numbers while it is built.
        make = classmethod(lambda cls, _, add_pooling_layer, config: cls(config, add_pooling_layer))
        patch.setattr(bert.HFBertModel, "from_pretrained", make)
        patch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))
        with torch.device("meta"):
            return registries.MODELS.build(ConfigDict(json.loads(model)))


def dicts(part: object) -> Iterator[dict]:
    """All dicts in a config that name a type."""
    if isinstance(part, dict):
        if "type" in part:
            yield part
        for each in part.values():
            yield from dicts(each)
    elif isinstance(part, list | tuple):
        for each in part:
            yield from dicts(each)


def unknown_arguments(cls: type, given: set[str]) -> set[str]:
    """Those that neither a class takes nor a parent that it hands others on to."""
    for each in inspect.getmro(cls)[:-1]:
        if "__init__" not in vars(each):
            continue
        parameters = inspect.signature(each.__init__).parameters.values()
        given -= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return given
    # Handed on to something else, as resizing is.
    return set()


def check(registry: str, part: dict) -> None:
    """A part of a config is of a known type and has only arguments that this takes."""
    cls = getattr(registries, registry).get(part["type"])
    assert cls is not None, part["type"]
    # The last is read before a scheduler is made.
    unknown = unknown_arguments(cls, part.keys() - {"type", "_scope_", "convert_to_iter_based"})
    assert not unknown, f"{cls.__name__} takes no {sorted(unknown)}"


def steps(pipeline: list) -> Iterator[dict]:
    """The transforms of a pipeline, nested ones too."""
    for step in pipeline:
        if isinstance(step, list | tuple):
            yield from steps(step)
        elif isinstance(step, dict):
            yield step
            yield from steps(step.get("transforms", ()))


def data_sets(part: dict) -> Iterator[dict]:
    """A data set and those that it is made of."""
    yield part
    for inner in [part.get("dataset"), *part.get("datasets", ())]:
        if inner:
            yield from data_sets(inner)


@pytest.mark.parametrize("name", ALL)
def test_builds_at_full_size_and_everything_is_found(name):
    config = load(name)
    # Or a run that is resumed would draw a new order.
    assert config.randomness == {"seed": 0}
    model = build(name)
    assert sum(each.numel() for each in model.parameters()) > 1e6
    pipelines = []
    for part in ("train", "val", "test"):
        loader = config[f"{part}_dataloader"]
        check("DATA_SAMPLERS", loader.sampler)
        if loader.get("batch_sampler"):
            check("DATA_SAMPLERS", loader.batch_sampler)
        for each in data_sets(loader.dataset):
            check("DATASETS", each)
            pipelines += [each.pipeline] if "pipeline" in each else []
    for evaluator in dicts([config.val_evaluator, config.test_evaluator]):
        check("EVALUATOR" if "metrics" in evaluator else "METRICS", evaluator)
    for hook in [*config.default_hooks.values(), *config.get("custom_hooks", ())]:
        check("HOOKS", hook)
        pipelines += [hook.switch_pipeline] if "switch_pipeline" in hook else []
    for step in steps(pipelines):
        check("TRANSFORMS", step)
    check("OPTIMIZERS", config.optim_wrapper.optimizer)
    schedulers = config.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        check("PARAM_SCHEDULERS", scheduler)


# Those of the sample and of `from_words` are whole trainings of one detector, which nothing else inherits.
@pytest.mark.parametrize("name", [name for name in ALL if "sample_" not in name and "from_words" not in name])
def test_short_files_that_inherit(name):
    assert len((CONFIGS / name).read_text().splitlines()) <= 36
    assert "_base_ = " in (CONFIGS / name).read_text()


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("grounding")])
def test_the_language_model_has_one_place(name, full_size_language_model):
    """A local folder replaces the hub's model everywhere."""
    config = load(name)
    used = [config.model, *([] if "evaluate" in name else [config.train_dataloader])]
    named = [each.get("tokenizer_name", each.get("name")) for each in dicts(used)]
    assert str(full_size_language_model) in named
    assert "bert-base-uncased" not in named


def sources(name: str) -> list[tuple[str, str]]:
    """Where the samples of a training come from: the folder, and what their annotations are by."""
    return [
        (Path(each.data_root).name, Path(each.ann_file).stem.removeprefix("odvg_"))
        for each in load(f"{GROUNDING}{name}.py").train_dataloader.dataset.datasets
    ]


FLICKR30K = ("flickr30k_entities", "final_flickr_separateGT_train_vg")
GQA = ("gqa", "final_mixed_train_no_coco_vg")
REPLAY = [FLICKR30K, ("objects365v1", "o365v1_train_odvg"), GQA]


def test_published_recipe():
    config = load(f"{GROUNDING}real-composed-100k.py")
    optim = config.optim_wrapper
    assert optim.optimizer.type == "AdamW"
    assert (optim.optimizer.lr, optim.optimizer.weight_decay, optim.clip_grad.max_norm) == (4e-4, 1e-4, 0.1)
    rates = {key: each.lr_mult for key, each in optim.paramwise_cfg.custom_keys.items() if "lr_mult" in each}
    assert rates == dict(backbone=0.1, language_model=0.1)
    assert config.auto_scale_lr.base_batch_size == 128
    assert config.train_cfg.max_epochs == 10
    assert [each.milestones for each in config.param_scheduler] == [[6]]
    datasets = config.train_dataloader.dataset.datasets
    negatives = [step for each in datasets for step in each.pipeline if step.type == "RandomSamplingNegPos"]
    assert [(each.num_sample_negative, each.max_tokens) for each in negatives] == [(85, 256)] * 5
    assert "obj365_goldg_20231122" in config.load_from
    more = load(f"{GROUNDING}real-composed-mix-100k-grit-v3det.py")
    assert more.load_from.endswith("goldg_grit9m_v3det_20231204_095047-b448804b.pth")
    assert more.train_dataloader.sampler.source_ratio == [4, 2, 4, 2, 1, 1, 1, 1, 1]
    mixed = sources("real-composed-mix-100k-grit-v3det")
    assert [place for place, _ in mixed[-2:]] == ["V3Det", "grit_processed"]
    assert mixed[:-2] == sources("real-composed-mix-100k")


@pytest.mark.parametrize("size", ["50k", "100k", "400k"])
@pytest.mark.parametrize("kind", ["", "-gc", "-mix"])
def test_joint_training_replays_real_data(kind, size):
    """Each size of each kind: composed data alone, and the same with real data at the published ratios."""
    half = {"50k": "25K", "100k": "50K", "400k": "200K"}[size]
    folders = {"": [f"FC-{size.upper()}"], "-gc": [f"GC-{size.upper()}"], "-mix": [f"FC-{half}", f"GC-{half}"]}[kind]
    composed = [(folder, by) for folder in folders for by in ("detection", "grounding")]
    assert sources(f"composed{kind}-{size}") == composed
    assert sources(f"real-composed{kind}-{size}") == composed + REPLAY
    alone, joint = (load(f"{GROUNDING}{name}composed{kind}-{size}.py") for name in ("", "real-"))
    ratio = {"": [6, 3], "-gc": [6, 3], "-mix": [4, 2, 4, 2]}[kind]
    assert joint.train_dataloader.sampler.source_ratio == [*ratio, 1, 1, 1]
    assert alone.train_dataloader.sampler.source_ratio == [each / ratio[1] for each in ratio]
    # An epoch is a pass over the first source.
    assert joint.train_dataloader.sampler.get("clock", 0) == 0
    for config in (alone, joint):
        # Of the published sizes, 50,000 and 500,000, the next one.
        epochs, milestone = (6, 4) if size == "400k" else (10, 6)
        assert (config.train_cfg.max_epochs, config.train_cfg.val_interval) == (epochs, 5)
        assert [(each.milestones, each.end) for each in config.param_scheduler] == [([milestone], epochs)]
        assert config.load_from.endswith("obj365_goldg_20231122_132602-4ea751ce.pth")


@pytest.mark.parametrize(
    ("name", "rate", "ratio", "composed", "begins_at"),
    [
        ("referring-100k", 2e-4, [5, 1, 1, 1], [("FC-100K", "referring")], "real-composed-100k"),
        ("referring-50k", 2e-4, [5, 1, 1, 1], [("FC-50K", "referring")], "real-composed-50k"),
        (
            "referring-mix-100k",
            4e-4,
            [3, 3, 1, 1, 1],
            [("FC-50K", "referring"), ("GC-50K", "referring")],
            "real-composed-mix-100k",
        ),
        (
            "referring-no-target-100k",
            2e-4,
            [3, 3, 1, 1, 1],
            [("FC-100K", "referring"), ("FC-100K", "expressions")],
            "real-composed-100k",
        ),
        (
            "single-category-referring",
            2e-4,
            [3, 3, 1, 1, 1],
            [("SFC-50K", "referring"), ("SGC-50K", "referring")],
            "real-composed-100k",
        ),
        (
            "single-category",
            2e-4,
            [3, 3, 1, 1, 1],
            [("SFC-50K", "grounding"), ("SGC-50K", "grounding")],
            "real-composed-100k",
        ),
        (
            "single-category-with-categories",
            2e-4,
            [4, 2, 4, 2, 1, 1, 1],
            [(folder, by) for folder in ("SFC-50K", "SGC-50K") for by in ("detection", "grounding")],
            "real-composed-100k",
        ),
    ],
)
def test_fine_tuning(name, rate, ratio, composed, begins_at):
    """5 epochs with replay, the language model at full rate, and no image mirrored whose words name a side."""
    config = load(f"{GROUNDING}{name}.py")
    assert sources(name) == composed + REPLAY
    assert config.train_dataloader.sampler.source_ratio == ratio
    assert (config.train_cfg.max_epochs, config.optim_wrapper.optimizer.lr) == (5, rate)
    keys = config.optim_wrapper.paramwise_cfg.custom_keys
    assert (keys.language_model.lr_mult, keys.backbone.lr_mult) == (1.0, 0.1)
    before = load(f"{GROUNDING}{begins_at}.py")
    assert config.load_from == f"work_dirs/mm-grounding-dino_swin-t_{begins_at}/epoch_{before.train_cfg.max_epochs}.pth"
    for each in config.train_dataloader.dataset.datasets:
        (flip,) = (step for step in each.pipeline if step.get("operation") == "mirror")
        assert (flip.type, flip.transform.type) == ("WordSafeTransform", "RandomFlip")


def test_staged_schedule():
    """3 epochs of mixed data along a cosine, then 3 of real data at half the rate."""
    first, second = (load(f"{GROUNDING}staged-100k-stage{number}.py") for number in (1, 2))
    assert sources("staged-100k-stage1") == sources("real-composed-100k")
    assert sources("staged-100k-stage2") == REPLAY
    for config in (first, second):
        assert config.train_cfg.max_epochs == 3
        assert [(each.type, each.T_max) for each in config.param_scheduler] == [("CosineAnnealingLR", 3)]
    assert first.optim_wrapper.optimizer.lr == 2 * second.optim_wrapper.optimizer.lr == 4e-4
    assert second.load_from == "work_dirs/mm-grounding-dino_swin-t_staged-100k-stage1/epoch_3.pth"


def test_grounding_is_judged_on_lvis_minival():
    """Every training as `evaluate-lvis-minival.py` judges."""
    judged = load(f"{GROUNDING}evaluate-lvis-minival.py")
    names = [name for name in ALL if name.startswith("grounding/") and not ("evaluate" in name or "sample" in name)]
    for name in names:
        config = load(name)
        for key in ("val_dataloader", "val_evaluator", "test_dataloader", "test_evaluator"):
            assert without_scope(config[key]) == without_scope(judged[key]), (name, key)
        assert config.model.test_cfg == judged.model.test_cfg, name


def test_freezing():
    """What is frozen has no gradient, or no rate; the rest has both."""
    frozen = {"frozen-backbone": {"backbone"}, "frozen-language": {"language_model"}}
    frozen["frozen-encoders"] = frozen["frozen-backbone"] | frozen["frozen-language"]
    for name, parts in {**frozen, "composed-100k": set()}.items():
        model = build(f"{GROUNDING}{name}.py").train()
        keys = load(f"{GROUNDING}{name}.py").optim_wrapper.paramwise_cfg.custom_keys
        still = {
            part
            for part in ("backbone", "language_model", "neck", "encoder", "decoder", "bbox_head")
            if keys.get(part, {}).get("lr_mult") == 0.0
            or not any(each.requires_grad for each in getattr(model, part).parameters())
        }
        assert still == parts, name


@pytest.mark.parametrize(
    ("folder", "recipes", "prefix", "base_name"),
    [
        ("grounding/ablations_lvis", "ablations_lvis", "mm-grounding-dino_swin-t_", "structured"),
        ("segmentation/ablations", "ablations", "mask2former_r50_", "naive"),
    ],
)
def test_ablations_differ_by_one_line(folder, recipes, prefix, base_name):
    """Each has the recipe of its name (underscores for hyphens); all but the place of its images is the base's."""
    base = load(f"{folder}/{prefix}{base_name}.py")
    made = {path.stem.replace("_", "-") for path in (CONFIGS / "synthesis" / recipes).glob("*.py")} - {base_name}
    names = {path.stem.removeprefix(prefix) for path in (CONFIGS / folder).glob("*.py")} - {base_name}
    assert names == made
    for name in sorted(names):
        config = load(f"{folder}/{prefix}{name}.py")._cfg_dict.to_dict()
        assert config["train_dataloader"]["dataset"].pop("data_root") == f"data/sos/{recipes}/{name.replace('-', '_')}/"
        expected = base._cfg_dict.to_dict()
        expected["train_dataloader"]["dataset"].pop("data_root")
        assert config == expected


def test_ablations_of_the_paper():
    """Mask2Former on composed images alone, with COCO's categories, judged on COCO."""
    config, coco = (load(f"segmentation/{name}.py") for name in ("ablations/mask2former_r50_naive", f"{PLAIN}-100pct"))
    data = config.train_dataloader.dataset
    assert (data.data_root, data.ann_file) == ("data/sos/ablations/naive/", "annotations/instances.json")
    assert config.val_evaluator.ann_file == "data/coco/annotations/instances_val2017.json"
    assert config.load_from is None
    for key in set(RUNNER_KEYS) - {"train_dataloader"}:
        assert config.get(key) == coco.get(key), key


def test_composed_data_is_beside_the_same_real_data():
    """With and without composed data, offline and on the fly: all but the training data is equal."""
    for percent in (1, 10, 50, 100):
        plain, *others = (
            load(f"segmentation/{PLAIN}-{percent}pct{kind}.py")._cfg_dict.to_dict()
            for kind in ("", "_composed", "_composed-mix", "_paste")
        )
        used = plain["train_dataloader"]["dataset"]["ann_file"]
        assert used == "annotations/instances_train2017" + (f"_{percent}percent.json" if percent < 100 else ".json")
        data = [each["train_dataloader"]["dataset"]["datasets"] for each in others]
        assert [each[0]["ann_file"] for each in data] == [used] * 3
        # Real objects come from the same part as the real images.
        part = f"{percent}percent-" if percent < 100 else ""
        assert [each[1]["data_root"] for each in data[:2]] == ["data/sos/COCO-50K/", f"data/sos/COCO-mix-{part}50K/"]
        for key in RUNNER_KEYS:
            if key not in ("train_dataloader", "custom_hooks"):
                assert all(each.get(key) == plain.get(key) for each in others), key


def test_missing_data_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    init_default_scope("mmdet")
    for name, missing in {
        f"{GROUNDING}composed-100k.py": "data/sos/FC-100K/annotations/odvg_label_map.json",
        f"segmentation/{PLAIN}-10pct_composed.py": "data/coco/annotations/instances_train2017_10percent.json",
        "segmentation/mask-rcnn_swin-s_lvis.py": "data/lvis_v1/annotations/lvis_v1_train.json",
    }.items():
        with pytest.raises(FileNotFoundError, match=missing):
            registries.DATASETS.build(load(name).train_dataloader.dataset)


def test_one_line_in_a_copy_of_a_stock_config(tmp_path):
    """The README's line, written into mmdet's own files, is the same as in the config that inherits them."""
    texts = [(CONFIGS.parent / name).read_text() for name in ("README.md", "configs/detection/README.md")]
    (line,) = {
        each for text in texts for each in text.splitlines() if each.startswith('    dict(type="sos_mm.SegmentPaste"')
    }
    stock = Path(mmdet.__file__).parent / ".mim/configs"
    for name in ("mask_rcnn", "_base_"):
        shutil.copytree(stock / name, tmp_path / name)
    file = tmp_path / "_base_/datasets/coco_instance.py"
    before = file.read_text()
    place = "dict(type='LoadAnnotations', with_bbox=True, with_mask=True),\n"
    file.write_text(before.replace(place, f"{place}{line}\n", 1))
    assert len(file.read_text().splitlines()) == len(before.splitlines()) + 1
    copied = Config.fromfile(tmp_path / "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py")
    inherited = load("detection/mask-rcnn_r50_coco_paste.py")
    assert sum(step.type == "sos_mm.SegmentPaste" for step in copied.train_dataloader.dataset.pipeline) == 1
    # The seed is all that it has beside the line.
    for key in set(RUNNER_KEYS) - {"randomness"}:
        assert without_scope(copied.get(key)) == without_scope(inherited.get(key)), key


def without_scope(part: object) -> object:
    """A part of a config without the marks of whose it is."""
    if isinstance(part, dict):
        return {key: without_scope(value) for key, value in part.items() if key != "_scope_"}
    return [without_scope(each) for each in part] if isinstance(part, list | tuple) else part
