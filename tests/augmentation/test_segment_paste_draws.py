"""SegmentPaste: what is drawn when, of which classes, and what is refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmcv")
import torch

from sos_mm.augmentation import SegmentPaste
from sos_mm.augmentation.label_mapper import class_names, find_labels
from sos_mm.augmentation.paste_source import PasteSource
from sos_mm.composition.effects.step import build_steps
from sos_mm.composition.layouts.prior import LayoutError
from sos_mm.engine.randomness import RepeatIndex
from tests.augmentation.samples import LAYOUT, SIZE, build, random_sample


def test_classes():
    assert class_names("coco")[:2] == ("person", "bicycle")
    assert class_names("coco")[79] == "toothbrush"
    assert find_labels(["Cell_Phone", "dog"], ["dog", "cell phone"]) == {"Cell_Phone": 1, "dog": 0}
    assert find_labels(["b", "a", "dog"], ["dog"], "append") == {"a": 1, "b": 2, "dog": 0}
    assert find_labels(["b", "dog"], ["dog"], "skip") == {"dog": 0}
    with pytest.raises(ValueError, match="nearest to 'dogg' is 'dog'"):
        find_labels(["dogg"], ["dog"])
    with pytest.raises(ValueError, match="no category of the bank is a class"):
        find_labels(["b"], ["dog"], "skip")


def test_unknown_categories(bank_config):
    with pytest.raises(ValueError, match=r"unknown='skip'"):
        build(bank_config, classes=["dog"])(random_sample(0))
    paste = build(bank_config, classes=["dog"], unknown="skip")
    for seed in range(10):
        sample = random_sample(seed, 0)
        assert set(paste({**sample, "gt_bboxes_labels": np.zeros(0, np.int64)})["gt_bboxes_labels"]) == {0}
    with pytest.raises(ValueError, match="`classes` must name"):
        build(bank_config, classes=None)(random_sample(0))


def test_draws_depend_on_image_and_epoch_alone(bank_config):
    first, second = build(bank_config), build(bank_config)
    second(random_sample(0))
    second.draws = None
    # As a worker that is not forked gets it.
    second = pickle.loads(pickle.dumps(second))
    second.draws = first.draws
    samples = [random_sample(seed) for seed in range(6)]
    one = {sample["img_path"]: first(dict(sample))["img"] for sample in samples}
    other = {sample["img_path"]: second(dict(sample))["img"] for sample in reversed(samples)}
    assert all((one[name] == other[name]).all() for name in one)
    first.draws.epoch = 1
    later = {sample["img_path"]: first(dict(sample))["img"] for sample in samples}
    assert not any((one[name] == later[name]).all() for name in one)
    # A sampler that counts visits is believed, whatever the epoch.
    visited = first({**samples[0], "sample_idx": RepeatIndex(0, 0)})["img"]
    np.testing.assert_array_equal(visited, one[samples[0]["img_path"]])


def test_without_a_hook_the_worker_seeds(bank_config, caplog):
    paste = build(bank_config)
    paste.draws = None
    sample = random_sample(0)
    torch.manual_seed(1)
    one = paste(dict(sample))["img"]
    other = paste(dict(sample))["img"]
    torch.manual_seed(1)
    np.testing.assert_array_equal(paste(dict(sample))["img"], one)
    assert (one != other).any()


def test_epochs(bank_config):
    paste = build(bank_config, prob=1.0, start_epoch=2, warmup_epochs=3, stop_epoch=8)
    shares = []
    for epoch in range(10):
        paste.draws.epoch = epoch
        samples = [random_sample(seed) for seed in range(80)]
        shares.append(np.mean([paste(sample) is not sample for sample in samples]))
    assert shares[:2] == [0, 0]
    assert shares[8:] == [0, 0]
    np.testing.assert_allclose(shares[2:6], [0.25, 0.5, 0.75, 1], atol=0.17)
    paste.draws = None
    with pytest.raises(RuntimeError, match="VisitHook"):
        paste(random_sample(0))


def test_probability(bank_config):
    paste = build(bank_config, prob=0.3)
    assert 0.2 < np.mean([paste(sample) is not sample for sample in map(random_sample, range(200))]) < 0.4
    sample = random_sample(0)
    assert build(bank_config, prob=0)(sample) is sample


def test_objects_of_the_image_itself_are_not_pasted(release):
    root, metadata = map(str, release)
    source = PasteSource({"type": "release", "root": root, "metadata": metadata}, None, "error")
    paths = [str(record.path) for record in source.bank.records]
    rng = np.random.default_rng(0)
    for path in paths:
        ids = {source.record(index).source_id for _ in range(20) for index in source.draw(rng, 4, "category", path)}
        own = [record.source_id for record in source.bank.records if str(record.path) == path]
        # Any of the others may come, and none of its own.
        others = {record.source_id for record in source.bank.records} - set(own)
        assert ids
        assert ids <= others
    single = PasteSource(
        {"type": "release", "root": root, "metadata": metadata, "attributes": ["green"]}, None, "error"
    )
    assert single.draw(rng, 3, "category", str(single.bank.records[0].path)) == []


def test_other_spellings_of_a_path_are_the_same_image(release, monkeypatch):
    root, metadata = map(str, release)
    monkeypatch.chdir(release[0])
    source = PasteSource({"type": "release", "root": root, "metadata": metadata}, None, "error")
    file = source.bank.file(0)
    for path in (file, os.path.relpath(file), f"{Path(file).parent}/../{Path(file).parent.name}/{Path(file).name}"):
        drawn = [index for _ in range(20) for index in source.draw(np.random.default_rng(0), 4, "category", path)]
        assert drawn
        assert 0 not in drawn


def test_crowded_layouts(bank_config):
    """Fewer objects are pasted where not all find a place, unless that is to be an error."""
    crowd = {"type": "StructuredLayout", "counts": (9, 9), "areas": {**LAYOUT["areas"], "large": (0.4, 0.6)}}
    crowd["shares"] = {"large": 1.0, "medium": 0.0, "small": 0.0}
    number = len(build(bank_config, layout=crowd)(random_sample(0, 0))["gt_bboxes"])
    assert 0 < number < 9
    with pytest.raises(LayoutError, match="9 objects do not fit"):
        build(bank_config, layout={**crowd, "crowded": "raise"})(random_sample(0, 0))


def test_what_is_not_true_or_cannot_be_kept_so_is_refused(bank_config):
    paste, sample = build(bank_config), random_sample(0, 1)
    masks = sample.pop("masks")
    without = {key: value for key, value in sample.items() if key != "gt_bboxes"}
    for broken, said in (
        ({**without, "gt_masks": masks}, "`gt_bboxes` must be in the sample"),
        (without, "`gt_bboxes` must be in the sample"),
        ({**sample, "img": sample["img"] / 255.0}, "paste before normalising"),
        ({**sample, "img": sample["img"] - 120.0}, "paste before normalising"),
        ({**sample, "img": sample["img"][..., 0]}, "must be of shape"),
        ({**sample, "img": None}, "`img` must be an array, but has none"),
        ({key: value for key, value in sample.items() if key != "img"}, "`img` must be an array, but has none"),
        ({**sample, "gt_ignore_flags": None}, "`gt_ignore_flags` must be an array, but got NoneType"),
        ({**sample, "gt_bboxes": np.array([[0, 0, np.nan, 5]], np.float32)}, "`gt_bboxes` must be finite"),
    ):
        with pytest.raises(ValueError, match=said):
            paste(broken)
    for metainfo in ({}, {"classes": None}):
        unnamed = build(bank_config, classes=None)
        unnamed.metainfo = metainfo
        with pytest.raises(ValueError, match="`classes` must name"):
            unnamed(dict(sample))
    dark = paste({"img": np.zeros((*SIZE, 3), np.float32), "img_path": "dark.jpg"})
    assert dark["img"].max() > 1


def test_missing_masks_are_told(bank_config):
    sample = random_sample(0)
    del sample["masks"]
    with pytest.raises(ValueError, match="`gt_masks` must be in the sample"):
        build(bank_config, with_mask=True)(sample)
    with pytest.raises(ValueError, match="resize them together"):
        build(bank_config)({**random_sample(3, 1), "gt_masks": np.zeros((1, 5, 5), np.uint8)})
    with pytest.raises(ValueError, match="must be BitmapMasks, PolygonMasks or an array, but got list"):
        build(bank_config)({**random_sample(3, 1), "gt_masks": []})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"prob": 2}, "`prob` must be in"),
        ({"unknown": "skipp"}, "Did you mean 'skip'"),
        ({"layout": {"type": "StructuredLayuot"}}, "Did you mean 'StructuredLayout'"),
        ({"effects": "dark"}, "`effects`"),
        ({"start_epoch": 5, "stop_epoch": 2}, "`stop_epoch`"),
        ({"min_area": 0}, "`min_area`"),
        ({"channel_order": "gbr"}, "`channel_order`"),
        ({"layout": "RandomLayout"}, "`layout` must be a dict with a `type`.* but got 'RandomLayout'"),
        ({"sampling": "rare"}, "`sampling`"),
        ({"sampling": "weighted"}, "'weighted' needs `category_weights`"),
        ({"bank_config": {"type": "sample", "category_weights": {"apple": 2}}}, "which ignores them"),
    ],
)
def test_arguments_are_checked(bank_config, options, match):
    with pytest.raises(ValueError, match=match):
        build(**{"bank_config": bank_config, **options})
    with pytest.raises(ValueError, match="must be described by a dict"):
        build("sample")


def test_classes_that_are_neither_a_vocabulary_nor_a_file_are_refused_when_it_is_built(bank_config):
    with pytest.raises(FileNotFoundError, match=r"neither a vocabulary nor a file 'coca'\. Did you mean 'coco'\?"):
        SegmentPaste(bank_config, classes="coca")


def test_default_effects(bank_config):
    """Those of the engine, unless others or none are given, also by their old name."""
    default, none = build_steps(["default"]), ()
    assert SegmentPaste(bank_config).steps == SegmentPaste(bank_config, effects="default").steps == default
    for without in (dict(effects=()), dict(effects=None), dict(light=())):
        assert SegmentPaste(bank_config, **without).steps == none
    assert SegmentPaste(bank_config, light=[dict(type="CastShadow")]).steps == build_steps([dict(type="CastShadow")])
    with pytest.raises(ValueError, match="`light` is the old name of `effects`"):
        SegmentPaste(bank_config, effects=[dict(type="CastShadow")], light="default")
