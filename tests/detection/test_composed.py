"""CompactODVGDataset: the samples of mmdet's, in less memory."""

import json

import pytest

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.datasets import ODVGDataset

from sos_mm.detection import CompactODVGDataset


@pytest.fixture
def data_root(tmp_path):
    names = {str(label): f"category {label}" for label in range(500)}
    image = {"filename": "a.jpg", "height": 50, "width": 60}
    box = [1, 2, 30, 40]
    detection = [image | {"detection": {"instances": [{"bbox": box, "label": label}]}} for label in (3, 499)]
    regions = [{"bbox": box, "phrase": "a cup", "tokens_positive": [[0, 5]]}]
    grounding = [image | {"grounding": {"caption": "a cup", "regions": regions}}]
    for name, lines in (("detection", detection), ("grounding", grounding)):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "names.json").write_text(json.dumps(names))
    return tmp_path


@pytest.mark.parametrize(("name", "label_map"), [("detection", "names.json"), ("grounding", None)])
def test_samples_are_those_of_mmdet(data_root, name, label_map):
    options = dict(data_root=str(data_root), ann_file=f"{name}.jsonl", label_map_file=label_map, return_classes=True)
    ours, theirs = (cls(data_prefix=dict(img="images"), **options) for cls in (CompactODVGDataset, ODVGDataset))
    assert [ours[index] for index in range(len(ours))] == [theirs[index] for index in range(len(theirs))]
    assert ours[0]["text"]
    if label_map:
        assert ours.data_bytes.nbytes < 1000
        assert theirs.data_bytes.nbytes > len(theirs) * 500 * 10


def test_what_a_pipeline_changes_stays_in_its_sample(data_root):
    dataset = CompactODVGDataset(
        data_root=str(data_root),
        ann_file="detection.jsonl",
        data_prefix=dict(img="images"),
        label_map_file="names.json",
        return_classes=True,
    )
    dataset[0]["text"]["3"] = "another"
    assert dataset[0]["text"]["3"] == "category 3"


def test_missing_names_are_an_error(data_root):
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        CompactODVGDataset(
            data_root=str(data_root), ann_file="detection.jsonl", label_map_file="absent.json", return_classes=True
        )
