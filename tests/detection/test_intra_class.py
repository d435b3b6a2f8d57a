"""The intra-class data set and metric in mmdet's own pipelines and mmengine's evaluator."""

import json

import numpy as np
import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS
from mmengine.structures import InstanceData

from sos_mm.annotations.panoptic import intra_class
from sos_mm.formats.json_writer import write_json_lists
from sos_mm.formats.panoptic import PanopticFile
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Expressions of a composed data set, beside its images."""
    composed = Composed(tmp_path_factory.mktemp("composed"))
    content, objects = composed.json("annotations/panoptic.json"), composed.lines("annotations/objects.jsonl")
    for annotation, line in zip(content["annotations"], objects, strict=True):
        for segment, each in zip(annotation["segments_info"], line["objects"], strict=False):
            segment["phrase"] = each["phrase"]
    path = composed.out / "annotations/with_phrases.json"
    write_json_lists(path, content)
    out = composed.out / "annotations/intra_class.json"
    write_json_lists(out, intra_class(PanopticFile(path)))
    return out


def dataset(file, **changes):
    config = {
        "type": "sos_mm.IntraClassReferringDataset",
        "data_root": str(file.parents[1]),
        "ann_file": "annotations/intra_class.json",
        "data_prefix": {"img": "images/"},
        "pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "mmdet.LoadAnnotations", "with_bbox": True},
            {"type": "mmdet.PackDetInputs", "meta_keys": ("img_id", "text", "tokens_positive", "ori_shape")},
        ],
        "test_mode": True,
        **changes,
    }
    return DATASETS.build(config)


def evaluated(file, predict) -> dict:
    """The metric of predictions made of each sample's target and distractors."""
    evaluator = Evaluator([METRICS.build({"type": "sos_mm.IntraClassReferringMetric", "ann_file": str(file)})])
    content, samples = json.loads(file.read_text(encoding="utf-8")), dataset(file)
    for index, image in enumerate(content["images"]):
        sample = samples[index]["data_samples"]
        boxes, scores = predict(sample.gt_instances.bboxes.tensor.numpy(), samples.get_data_info(index)["distractors"])
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 4)), scores=torch.tensor(scores)
        )
        assert sample.text == image["caption"]
        evaluator.process([sample])
    return evaluator.evaluate(len(content["images"]))


def test_samples(file):
    content, samples = json.loads(file.read_text(encoding="utf-8")), dataset(file)
    assert len(samples) == len(content["images"]) > 3
    for index, (image, annotation) in enumerate(zip(content["images"], content["annotations"], strict=True)):
        info = samples.get_data_info(index)
        x, y, width, height = annotation["bbox"]
        assert info["instances"][0]["bbox"] == [x, y, x + width, y + height]
        assert info["tokens_positive"] == -1
        assert len(info["distractors"]) == len(image["distractors"])
        assert samples[index]["inputs"].shape[1:] == (image["height"], image["width"])


def test_metric_of_known_predictions(file):
    nothing = {"intra_class/target_missed": 0, "intra_class/distractor_missed": 0, "intra_class/both_missed": 0}

    def all_boxes(on_target, on_others):
        return lambda target, others: (np.vstack([target, others]), [on_target] + [on_others] * len(others))

    gap = {"intra_class/average_gap": 50, "intra_class/positive_gap_ratio": 100}
    assert evaluated(file, all_boxes(0.75, 0.25)) == gap | nothing
    gap = {"intra_class/average_gap": -50, "intra_class/positive_gap_ratio": 0}
    assert evaluated(file, all_boxes(0.25, 0.75)) == gap | nothing
    only_target = evaluated(file, lambda target, others: (target, [0.5]))
    gap = {"intra_class/average_gap": 50, "intra_class/positive_gap_ratio": 100}
    assert only_target == gap | nothing | {"intra_class/distractor_missed": 100}
    gap = {"intra_class/average_gap": 0, "intra_class/positive_gap_ratio": 0}
    assert evaluated(file, lambda target, others: ([], [])) == gap | nothing | {"intra_class/both_missed": 100}


def test_stock_classes_read_the_file_too(file):
    """As RefCOCO, without the distractors: all targets found give a precision of 1."""
    stock = dataset(file, type="mmdet.MDETRStyleRefCocoDataset")
    metric = METRICS.build({"type": "mmdet.RefExpMetric", "ann_file": str(file)})
    for index in range(len(stock)):
        sample = stock[index]["data_samples"]
        boxes = sample.gt_instances.bboxes.tensor
        found = {"bboxes": boxes, "scores": torch.ones(len(boxes))}
        metric.process({}, [{"img_id": sample.img_id, "pred_instances": found}])
    assert metric.compute_metrics(metric.results)["refcoco_precision@1"] == 1


def test_faulty_files(file, tmp_path):
    content = json.loads(file.read_text(encoding="utf-8"))
    first = content["images"][0]["id"]
    for change, said in (
        (lambda c: c["images"][0].pop("distractors"), f"{first} has no `distractors`"),
        (lambda c: c["annotations"].pop(0), f"{first} has no annotation"),
        (lambda c: c.pop("images"), "a list 'images'"),
        (lambda c: c["images"].clear(), "its list 'images' is empty"),
    ):
        broken = json.loads(json.dumps(content))
        change(broken)
        path = tmp_path / "broken.json"
        path.write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=said):
            METRICS.build({"type": "sos_mm.IntraClassReferringMetric", "ann_file": str(path)})
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        METRICS.build({"type": "sos_mm.IntraClassReferringMetric", "ann_file": str(tmp_path / "none.json")})
    metric = METRICS.build({"type": "sos_mm.IntraClassReferringMetric", "ann_file": str(file)})
    with pytest.raises(ValueError, match="that of the data set, but has no expression -3"):
        metric.process({}, [{"img_id": -3, "pred_instances": {}}])


def test_names_are_ours():
    from mmdet.registry import DATASETS as MMDET_DATASETS
    from mmdet.registry import METRICS as MMDET_METRICS

    from sos_mm.detection import IntraClassReferringDataset, IntraClassReferringMetric

    for registry, cls in ((MMDET_DATASETS, IntraClassReferringDataset), (MMDET_METRICS, IntraClassReferringMetric)):
        assert cls.__name__ not in registry.module_dict
        assert registry.get(cls.__name__) is cls
