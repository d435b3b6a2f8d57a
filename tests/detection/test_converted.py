"""mmdet's stock data sets read what the converters write, and its own converter agrees with ours."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
import mmdet
import torch
from mmdet.datasets.transforms.text_transformers import RandomSamplingNegPos
from mmengine.registry import METRICS, TRANSFORMS

from sos_mm.annotations import panoptic
from sos_mm.annotations.released import repaired_panoptic
from sos_mm.formats import odvg_referring as referring
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.formats.odvg import label_map
from sos_mm.formats.panoptic import PanopticFile
from tests.helpers.composed import Composed
from tests.synthesis.writers.test_mmdet import panopticapi  # noqa: F401


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"), num=6)


def options(folder, ann_file) -> dict:
    return {"data_root": str(folder), "ann_file": str(ann_file), "data_prefix": {"img": "images/"}, "pipeline": []}


def expressions(composed) -> list:
    """One target, two, and none."""
    image = {"file_name": "00000000.jpg", "height": 120, "width": 150}
    boxes = [list(map(float, each.box)) for each in composed.scenes[0].objects[:2]]
    one, two = (Target(box, 1, [[0, 7]]) for box in boxes)
    return [
        Expression(1, "the one", image, 1, "refcoco", [one]),
        Expression(2, "the two of them", image, 1, "refcoco", [one, two]),
        Expression(3, "a third", image, 1, "refcoco", []),
    ]


def test_referring_lines_train(composed, tmp_path):
    """Also those without target: they reach the end of mmdet's text transform, with nothing in them."""
    path = tmp_path / "odvg.jsonl"
    write_json_lines(path, referring.to_odvg(expressions(composed)))
    dataset = mmdet.datasets.ODVGDataset(**options(composed.out, path), return_classes=True)
    assert len(dataset) == 3
    numbers = []
    for index in range(3):
        results = dataset.get_data_info(index)
        for each in ({"type": "LoadImageFromFile"}, {"type": "mmdet.LoadAnnotations", "with_bbox": True}):
            results = TRANSFORMS.build(each)(results)
        results = RandomSamplingNegPos.vg_aug(None, results)
        numbers.append(len(results["gt_bboxes"]))
        for spans in results["tokens_positive"].values():
            assert [results["text"][start:end] for start, end in spans] == ["the one" if index == 0 else "the two"]
    assert numbers == [1, 2, 0]


def test_referring_files_are_evaluated(composed, tmp_path):
    path = tmp_path / "mdetr.json"
    write_json_lists(path, to_mdetr(expressions(composed)))
    dataset = mmdet.datasets.MDETRStyleRefCocoDataset(**options(composed.out, path), test_mode=True)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [info["text"] for info in infos] == ["the one", "the two of them", "a third"]
    assert [len(info["instances"]) for info in infos] == [1, 2, 1]
    metric = METRICS.build({"type": "mmdet.gRefCOCOMetric", "ann_file": str(path)})
    for info in infos:
        boxes = torch.tensor([each["bbox"] for each in info["instances"] if each["bbox_label"] != -1]).reshape(-1, 4)
        found = {"bboxes": boxes, "scores": torch.ones(len(boxes))}
        metric.process({}, [{"img_id": info["img_id"], "pred_instances": found}])
    scores = metric.compute_metrics(metric.results)
    assert (scores["T_acc"], scores["N_acc"]) == (1, 1)
    # mmdet compares with the first target alone, so the one of two targets counts as wrong.
    assert scores["F1_score"] == pytest.approx(2 / 3)


@pytest.fixture
def jsonlines(monkeypatch):
    """mmdet's tools ask jsonlines, which mmdet does not install, to write a list of records."""

    class Writer:
        def __init__(self, path, mode):
            self.path = path

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def write_all(self, records):
            write_json_lines(self.path, records)

    module = ModuleType("jsonlines")
    module.open = Writer
    monkeypatch.setitem(sys.modules, "jsonlines", module)


def test_mmdets_converter_agrees(composed, tmp_path, jsonlines):
    """On expressions with targets, which are all that it keeps."""
    tool = Path(mmdet.__file__).parent / ".mim/tools/dataset_converters/refcoco2odvg.py"
    spec = importlib.util.spec_from_file_location("refcoco2odvg", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = expressions(composed)[:2]
    write_json_lists(tmp_path / "finetune.json", to_mdetr(made))
    module.process_item(argparse.Namespace(mdetr_anno_dir=str(tmp_path), out_dir=None), "finetune.json")
    theirs = [json.loads(line) for line in (tmp_path / "finetune_vg.json").read_text().splitlines()]
    ours = list(referring.to_odvg(made))
    for mine, other in zip(ours, theirs, strict=True):
        for region in mine["grounding"]["regions"]:
            del region["category_ids"]
        assert {key: mine[key] for key in other} == other


def test_repaired_panoptic(composed, tmp_path, panopticapi):  # noqa: F811
    content = composed.json("annotations/panoptic.json")
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment |= {"area": 1, "bbox": [0, 0, 0, 0]}
    for category in content["categories"]:
        del category["isthing"]
    write_json_lists(tmp_path / "released.json", content)
    repaired = repaired_panoptic(tmp_path / "released.json", composed.out / "panoptic")
    write_json_lists(tmp_path / "repaired.json", repaired)
    classes = tuple(each["name"] for each in repaired["categories"])
    config = options(composed.out, tmp_path / "repaired.json") | {"data_prefix": {"img": "images/", "seg": "panoptic/"}}
    config["metainfo"] = {"classes": classes, "thing_classes": classes, "stuff_classes": ()}
    dataset = mmdet.datasets.CocoPanopticDataset(**config)
    for index, scene in enumerate(composed.scenes):
        results = dataset.get_data_info(index)
        for each in ({"type": "LoadImageFromFile"}, {"type": "mmdet.LoadPanopticAnnotations"}):
            results = TRANSFORMS.build(each)(results)
        number = len(scene.objects)
        boxes = results["gt_bboxes"].tensor.numpy()[:number]
        np.testing.assert_array_equal(boxes, [each.box for each in scene.objects])


def test_panoptic_lines_are_read(composed, tmp_path):
    file = PanopticFile(composed.path("annotations/panoptic.json"))
    write_json_lines(tmp_path / "detection.jsonl", panoptic.detection_lines(file))
    (tmp_path / "labels.json").write_text(json.dumps(label_map(file.names[id] for id in file.labels)))
    config = options(composed.out, tmp_path / "detection.jsonl")
    dataset = mmdet.datasets.ODVGDataset(**config, label_map_file=str(tmp_path / "labels.json"), return_classes=True)
    for index, scene in enumerate(composed.scenes):
        boxes = [each["bbox"] for each in dataset.get_data_info(index)["instances"]]
        assert boxes == [list(each.box) for each in scene.objects]
