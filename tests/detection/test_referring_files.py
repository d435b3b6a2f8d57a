"""mmdet's own data sets and metrics read what is written of referring expressions, and find the truth in it right."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
import mmdet
import torch
from mmdet.datasets.transforms.text_transformers import RandomSamplingNegPos
from mmengine.registry import DATASETS, METRICS, TRANSFORMS

from sos_mm.cli.refer import main
from sos_mm.formats.referring import DATASET_NAMES
from sos_mm.synthesis import Recipe, synthesize

RECIPE = {
    "canvas": (200, 240),
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (2, 7), "crowded": "fewer"},
    "sampling": "single_category",
    "formats": ["coco", "objects"],
}


@pytest.fixture(scope="module", params=["recipe", "tool"])
def folder(request, tmp_path_factory):
    """A data set whose expressions are part of its recipe, and one where the tool adds them."""
    out = tmp_path_factory.mktemp("data") / "set"
    formats = RECIPE["formats"] + [{"type": "referring", "tokens": (60, 120)}] * (request.param == "recipe")
    synthesize(Recipe.from_dict({**RECIPE, "formats": formats}), out, 10, progress=False)
    if request.param == "tool":
        outputs = ["odvg", "grefcoco", "refcoco", "refs", "dod", "intra_class"]
        assert main([str(out), "--out", str(out / "annotations"), "--outputs", *outputs, "--tokens", "60", "120"]) == 0
    else:
        # The forms that a recipe does not make are made of what it wrote.
        given, more = str(out / "annotations/referring.jsonl"), out.parent / "more"
        assert main([str(out), "--expressions", given, "--out", str(more), "--outputs", "dod"]) == 0
        for name in ("dod", "dod.json"):
            (more / name).rename(out / "annotations" / name)
        assert (more / "referring.jsonl").read_text().count('"text"') > 0.9 * Path(given).read_text().count('"text"')
        (more / "referring.jsonl").rename(out / "annotations/kept.jsonl")
    return out


def lines(folder, name="referring.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / "annotations" / name).read_text(encoding="utf-8").splitlines()]


def expressions(folder) -> dict[int, dict]:
    return {each["id"]: each for line in lines(folder) for each in line["expressions"]}


def options(folder, name) -> dict:
    return {
        "data_root": str(folder),
        "ann_file": f"annotations/{name}",
        "data_prefix": {"img": "images/"},
        "pipeline": [],
        "test_mode": True,
        "return_classes": True,
    }


def loaded(dataset, index: int) -> dict:
    results = dataset.get_data_info(index)
    for each in ({"type": "LoadImageFromFile"}, {"type": "mmdet.LoadAnnotations", "with_bbox": True}):
        results = TRANSFORMS.build(each)(results)
    return RandomSamplingNegPos.vg_aug(None, results)


@pytest.mark.parametrize("name", ["odvg_referring.jsonl", "odvg_expressions.jsonl"])
@pytest.mark.parametrize("kind", ["mmdet.ODVGDataset", "sos_mm.CompactODVGDataset"])
def test_captions_train(folder, name, kind):
    """After mmdet's text transform each box still has the words of just what means it, and no other has."""
    dataset = DATASETS.build({"type": kind, **options(folder, name), "filter_cfg": {"filter_empty_gt": False}})
    by_image = {line["file_name"]: line["expressions"] for line in lines(folder)}
    assert len(dataset) == len(lines(folder, name)) > 0
    seen, silent = 0, 0
    for index in range(len(dataset)):
        results = loaded(dataset, index)
        said = {each["text"].lower(): each for each in by_image[results["img_path"].rsplit("/", 1)[1]]}
        parts = results["text"].strip().removesuffix(".").split(". ")
        assert set(parts) <= said.keys()
        seen += len(parts)
        found: dict[str, list] = {part: [] for part in parts}
        for box, label in zip(results["gt_bboxes"].numpy().tolist(), results["gt_bboxes_labels"], strict=True):
            for start, end in results["tokens_positive"][label]:
                found[results["text"][start:end]].append([round(each) for each in box])
        for part, boxes in found.items():
            assert sorted(boxes) == sorted(said[part]["boxes"])
        silent += not results["tokens_positive"]
    assert seen == len(expressions(folder))
    if name == "odvg_expressions.jsonl":
        # Lines without target stay, with nothing in them.
        assert silent == sum(not each["targets"] for each in expressions(folder).values()) > 5


def test_spans_reach_the_tokens_of_the_detector(folder, tmp_path):
    """mmdet's map of tokens covers the letters of the spans, and nothing is behind the 256th token."""
    from mmdet.models.detectors.glip import create_positive_map
    from transformers import BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789'()-"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    for line in lines(folder, "odvg_referring.jsonl"):
        caption = line["grounding"]["caption"].lower()
        tokenized = tokenizer([caption], return_tensors="pt")
        assert tokenized["input_ids"].shape[1] <= 120
        spans = [region["tokens_positive"] for region in line["grounding"]["regions"]]
        if not spans:
            continue
        for covered, own in zip(create_positive_map(tokenized, spans, 256) > 0, spans, strict=True):
            pieces = [
                tokenizer.convert_ids_to_tokens(int(tokenized["input_ids"][0, each])) for each in covered.nonzero()
            ]
            expected = "".join(caption[start:end] for start, end in own).replace(" ", "")
            assert "".join(piece.removeprefix("##") for piece in pieces) == expected


def truths(dataset) -> list[tuple[dict, torch.Tensor]]:
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    boxes = ([each["bbox"] for each in info["instances"] if each["bbox_label"] != -1] for info in infos)
    return [
        (info, torch.tensor(each, dtype=torch.float32).reshape(-1, 4)) for info, each in zip(infos, boxes, strict=True)
    ]


def scored(metric, dataset, *, wrong: bool = False) -> dict:
    """Figures of a detector that gives the truth, or everything far from it."""
    for info, boxes in truths(dataset):
        found = boxes + 1000 if wrong else boxes
        if wrong and not len(found):
            found = torch.tensor([[0.0, 0, 9, 9]])
        instances = {"bboxes": found, "scores": torch.ones(len(found))}
        metric.process({}, [{"img_id": info["img_id"], "pred_instances": instances}])
    return metric.compute_metrics(metric.results)


def test_refcoco_is_evaluated(folder):
    dataset = mmdet.datasets.MDETRStyleRefCocoDataset(**options(folder, "refcoco.json"))
    said = expressions(folder)
    assert len(dataset) == sum(len(each["targets"]) == 1 for each in said.values())
    for info, boxes in truths(dataset):
        truth = said[info["img_id"]]
        assert (info["text"], info["dataset_mode"]) == (truth["text"], DATASET_NAMES[truth["kind"]])
        assert boxes.tolist() == truth["boxes"]
    config = {"type": "mmdet.RefExpMetric", "ann_file": str(folder / "annotations/refcoco.json"), "topk": (1,)}
    right, wrong = (scored(METRICS.build(config), dataset, wrong=wrong) for wrong in (False, True))
    for name in set(DATASET_NAMES.values()):
        assert (right[f"{name}_precision@1"], wrong[f"{name}_precision@1"]) == (1, 0)


def test_grefcoco_is_evaluated(folder):
    dataset = mmdet.datasets.MDETRStyleRefCocoDataset(**options(folder, "grefcoco.json"))
    said = expressions(folder)
    assert len(dataset) == len(said)
    assert {info["img_id"]: boxes.tolist() for info, boxes in truths(dataset)} == {
        id: each["boxes"] for id, each in said.items()
    }
    config = {"type": "mmdet.gRefCOCOMetric", "ann_file": str(folder / "annotations/grefcoco.json")}
    right, wrong = (scored(METRICS.build(config), dataset, wrong=wrong) for wrong in (False, True))
    assert (right["T_acc"], right["N_acc"], wrong["N_acc"]) == (1, 1, 0)
    # mmdet compares with the first target alone, so that those of several targets count as wrong.
    single = sum(len(each["targets"]) < 2 for each in said.values()) / len(said)
    assert (right["F1_score"], wrong["F1_score"]) == (pytest.approx(single), 0)


def test_dod_is_evaluated(folder):
    pytest.importorskip("d_cube")
    config = {**options(folder, "dod.json"), "data_prefix": {"img": "images/", "anno": "annotations/dod"}}
    dataset = mmdet.datasets.DODDataset(**config)
    kept = "kept.jsonl" if (folder / "annotations/kept.jsonl").exists() else "referring.jsonl"
    asked = [line for line in lines(folder, kept) if line["expressions"]]
    assert len(dataset) == len(asked)
    metric = METRICS.build({"type": "mmdet.DODCocoMetric", "ann_file": str(folder / "annotations/dod.json")})
    for index, line in enumerate(asked):
        info = dataset.get_data_info(index)
        assert info["img_path"].endswith(line["file_name"])
        assert set(info["text"]) == {each["text"] for each in line["expressions"]}
        boxes, labels = [], []
        for label, text in enumerate(info["text"]):
            for each in (each for each in line["expressions"] if each["text"] == text):
                boxes += each["boxes"]
                labels += [label] * len(each["boxes"])
        told = sorted((each["bbox"], dataset.metainfo["classes"][each["bbox_label"]]) for each in info["instances"])
        assert told == sorted(zip(boxes, (info["text"][label] for label in labels), strict=True))
        found = {"bboxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "scores": torch.ones(len(boxes))}
        found["labels"] = torch.tensor(labels, dtype=torch.int64)
        metric.process({}, [{"img_id": info["img_id"], "sent_ids": info["sent_ids"], "pred_instances": found}])
    figures = metric.compute_metrics(metric.results)
    assert figures["mAP"] == 1


def test_intra_class_is_evaluated(folder):
    file = folder / "annotations/intra_class.json"
    dataset = DATASETS.build({"type": "sos_mm.IntraClassReferringDataset", **options(folder, "intra_class.json")})
    assert len(dataset) > 3
    metric = METRICS.build({"type": "sos_mm.IntraClassReferringMetric", "ann_file": str(file), "overlap": "any"})
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        boxes = np.array([info["instances"][0]["bbox"], *info["distractors"]])
        found = {"bboxes": torch.from_numpy(boxes), "scores": torch.tensor([0.75] + [0.25] * (len(boxes) - 1))}
        metric.process({}, [{"img_id": info["img_id"], "pred_instances": found}])
    assert metric.compute_metrics(metric.results)["positive_gap_ratio"] > 90
