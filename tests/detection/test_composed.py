"""CompactODVGDataset: the samples of mmdet's, in less memory."""

import copy
import gc
import json
import multiprocessing
import os
import pickle

import numpy as np
import pytest

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.datasets import ODVGDataset

from sos_mm.detection import CompactODVGDataset, composed
from sos_mm.detection.shared_bytes import SharedBytes


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


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Options of a data set of a few parts; one object is too small, one outside."""
    rng, lines = np.random.default_rng(0), []
    for number in range(25):
        boxes = rng.integers(0, 30, (3, 2))
        instances = [{"bbox": [int(x), int(y), int(x) + 9, int(y) + 9], "label": number % 4} for x, y in boxes]
        instances += [{"bbox": [1, 1, 1.5, 9], "label": 0}, {"bbox": [90, 1, 99, 9], "label": 0}]
        image = {"filename": f"{number}.jpg", "height": 50, "width": 60}
        lines.append(json.dumps({**image, "detection": {"instances": instances}}))
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    (tmp_path / "names.json").write_text(json.dumps({str(label): f"category {label}" for label in range(4)}))
    monkeypatch.setattr(composed, "_PART", 10)
    return dict(
        data_root=str(tmp_path),
        ann_file="many.jsonl",
        label_map_file="names.json",
        data_prefix=dict(img="images"),
        return_classes=True,
    )


def samples(dataset) -> list:
    return [dataset[index] for index in range(len(dataset))]


def test_a_file_of_several_parts(many):
    ours, theirs = CompactODVGDataset(**many), ODVGDataset(**many)
    assert samples(ours) == samples(theirs)
    assert len(ours) == 25
    assert ours[0]["instances"]
    assert ours[-1]["sample_idx"] == 24
    assert ours.ann_file == theirs.ann_file
    assert not ours.data_bytes.flags.writeable
    assert gc.isenabled()


@pytest.mark.parametrize(
    "options", [{"indices": 7}, {"indices": [3, 1]}, {"serialize_data": False}, {"lazy_init": True}]
)
def test_options_of_mmengine(many, options):
    assert samples(CompactODVGDataset(**many, **options)) == samples(ODVGDataset(**many, **options))


def test_subsets_and_copies(many):
    ours, theirs = CompactODVGDataset(**many), ODVGDataset(**many)
    for change in (copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data)), lambda data: data.get_subset([4, 20])):
        assert samples(change(ours)) == samples(change(theirs))
    assert copy.deepcopy(ours).data_bytes is ours.data_bytes
    for data in (ours, theirs):
        data.get_subset_([2, 9])
    assert samples(pickle.loads(pickle.dumps(ours))) == samples(ours) == samples(theirs)


def test_a_pickled_subset_is_small(many):
    ours = CompactODVGDataset(**many)
    whole = ours.data_bytes.nbytes
    assert len(pickle.dumps(ours.get_subset([4]))) < whole / 2


def test_an_empty_file(many, tmp_path):
    (tmp_path / "many.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"many\.jsonl must hold at least one image"):
        CompactODVGDataset(**many)


def facts_of_file(shared: SharedBytes, told) -> None:
    """Tells which file a spawned process maps, and what it reads there."""
    told.put((os.fstat(shared._file.fileno()).st_ino, shared.array.tobytes()))


@pytest.mark.slow
def test_spawned_processes_read_the_same_memory():
    shared, context = SharedBytes.of([b"one", b"", b" two"]), multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=facts_of_file, args=(shared, told))
    process.start()
    assert told.get(timeout=120) == (os.fstat(shared._file.fileno()).st_ino, b"one two")
    process.join()
    apart = pickle.loads(pickle.dumps(shared))
    assert apart.array.tobytes() == b"one two"
    assert os.fstat(apart._file.fileno()).st_ino != os.fstat(shared._file.fileno()).st_ino
