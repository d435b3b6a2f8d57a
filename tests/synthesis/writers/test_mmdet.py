"""mmdet's own data sets read what is written: counts, labels, boxes, masks and phrases."""

import sys
from types import ModuleType

import numpy as np
import pytest

from sos_mm.compat import restore_numpy_aliases
from tests.helpers.composed import VOCABULARY, Composed, category_id, tight_box

pytest.importorskip("mmcv.ops")
datasets = pytest.importorskip("mmdet.datasets")
LABELS = {id: label for label, id in enumerate(sorted(VOCABULARY.values()))}
CLASSES = tuple(sorted(VOCABULARY, key=VOCABULARY.get))


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


def options(composed, ann_file: str, classes=CLASSES, **prefixes) -> dict:
    return {
        "data_root": str(composed.out),
        "ann_file": f"annotations/{ann_file}",
        "data_prefix": {"img": "images/", **prefixes},
        "metainfo": {"classes": classes},
        "pipeline": [],
    }


def loaded(dataset, index: int, *transforms) -> dict:
    """An item after mmdet's own loaders."""
    from mmdet.registry import TRANSFORMS

    results = dataset.get_data_info(index)
    for each in ({"type": "LoadImageFromFile"}, *transforms):
        results = TRANSFORMS.build(each)(results)
    return results


def expected(scene) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Labels, half-open boxes and masks of a scene's objects."""
    masks = np.array([scene.modal_mask(index) for index in range(len(scene.objects))])
    return [LABELS[category_id(e.category)] for e in scene.objects], np.array([tight_box(m) for m in masks]), masks


def check_instances(scene, results) -> None:
    """Labels, boxes and masks of what is not ignored."""
    kept = ~np.asarray(results["gt_ignore_flags"])
    labels, boxes, masks = expected(scene)
    assert results["img"].shape[:2] == scene.size
    assert results["gt_bboxes_labels"][kept].tolist() == labels
    np.testing.assert_array_equal(results["gt_bboxes"].tensor.numpy()[kept], boxes)
    np.testing.assert_array_equal(results["gt_masks"].to_ndarray()[kept], masks)


ANNOTATIONS = {"type": "mmdet.LoadAnnotations", "with_bbox": True, "with_mask": True, "poly2mask": True}


def test_coco(composed):
    dataset = datasets.CocoDataset(**options(composed, "instances.json"))
    assert len(dataset) == len(composed.scenes)
    for index, scene in enumerate(composed.scenes):
        results = loaded(dataset, index, ANNOTATIONS)
        check_instances(scene, results)
        assert np.sum(results["gt_ignore_flags"]) == len(scene.ignored)


def test_lvis(composed):
    pytest.importorskip("lvis")
    restore_numpy_aliases()
    dataset = datasets.LVISV1Dataset(**options(composed, "lvis_v1.json", img=""))
    assert len(dataset) == len(composed.scenes)
    for index, scene in enumerate(composed.scenes):
        check_instances(scene, loaded(dataset, index, ANNOTATIONS))


@pytest.fixture
def panopticapi(monkeypatch):
    """mmdet asks panopticapi, which no package index carries as such, for this one function of its format."""
    try:
        import panopticapi.utils  # noqa: F401
    except ImportError:
        utils = ModuleType("panopticapi.utils")
        utils.rgb2id = lambda color: color.astype(np.int32) @ (1, 256, 256 * 256)
        package = ModuleType("panopticapi")
        package.utils = utils
        monkeypatch.setitem(sys.modules, "panopticapi", package)
        monkeypatch.setitem(sys.modules, "panopticapi.utils", utils)


def test_panoptic(composed, panopticapi):
    config = options(composed, "panoptic.json", (*CLASSES, "Wand"), seg="panoptic/")
    config["metainfo"] |= {"thing_classes": CLASSES, "stuff_classes": ("Wand",)}
    dataset = datasets.CocoPanopticDataset(**config)
    assert len(dataset) == len(composed.scenes)
    for index, scene in enumerate(composed.scenes):
        results = loaded(dataset, index, {"type": "mmdet.LoadPanopticAnnotations"})
        check_instances(scene, results)
        labels, _, masks = expected(scene)
        semantic = np.full(scene.size, len(CLASSES))
        for label, mask in zip(labels, masks, strict=True):
            semantic[mask] = label
        for region in scene.ignored:
            x0, y0, x1, y1 = region.box
            semantic[y0:y1, x0:x1][region.mask] = 255
        np.testing.assert_array_equal(results["gt_seg_map"], semantic)


def odvg(composed, ann_file: str, **changes):
    config = options(composed, ann_file) | {"return_classes": True, **changes}
    del config["metainfo"]
    return datasets.ODVGDataset(**config)


def test_odvg_detection(composed):
    label_map = "annotations/odvg_label_map.json"
    dataset = odvg(composed, "odvg_detection.jsonl", label_map_file=label_map)
    assert len(dataset) == len(composed.scenes)
    for index, scene in enumerate(composed.scenes):
        results = loaded(dataset, index, {"type": "mmdet.LoadAnnotations", "with_bbox": True})
        labels, boxes, _ = expected(scene)
        assert results["gt_bboxes_labels"].tolist() == labels
        np.testing.assert_array_equal(results["gt_bboxes"].tensor.numpy(), boxes)
        assert [results["text"][str(label)] for label in labels] == [CLASSES[label] for label in labels]


def test_odvg_grounding(composed):
    """Spans give back their phrases, also in the caption as mmdet's augmentation lowers it."""
    from mmdet.datasets.transforms.text_transformers import RandomSamplingNegPos

    dataset, number = odvg(composed, "odvg_grounding.jsonl"), 0
    assert len(dataset) == len(composed.scenes)
    for index, scene in enumerate(composed.scenes):
        results = loaded(dataset, index, {"type": "mmdet.LoadAnnotations", "with_bbox": True})
        phrases, caption = results["phrases"], results["text"]
        found = sorted(results["gt_bboxes"].tensor.int().tolist())
        assert found == sorted(expected(scene)[1].tolist())
        lowered = RandomSamplingNegPos.vg_aug(None, dict(results))
        for label in results["gt_bboxes_labels"]:
            ((start, end),) = phrases[label]["tokens_positive"]
            assert caption[start:end] == phrases[label]["phrase"]
            assert lowered["tokens_positive"][label] == [[start, end]]
            assert lowered["text"][start:end] == phrases[label]["phrase"].lower()
            number += 1
    assert number == sum(len(scene.objects) for scene in composed.scenes)
