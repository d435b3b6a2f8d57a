"""Small stand-ins for the data that configs over mmdet name, in the layout and under the paths of the real ones."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from sos_mm.annotations.subsets import make_subsets
from sos_mm.errors import ErrorCollector
from sos_mm.segments import build_index
from sos_mm.segments.factory import list_records
from sos_mm.segments.vocabulary import read_vocabulary
from sos_mm.synthesis import Recipe, synthesize

HEIGHT, WIDTH = 72, 96
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *"abcdefghijklmnopqrstuvwxyz"]


def make_language_model(folder: Path, **sizes) -> Path:
    """A BERT with random weights, saved as real ones are, whose tokens are letters.

    Args:
        folder: Where it goes.
        **sizes: Options of ``transformers.BertConfig``; without any, only the config of the published size is saved.
    """
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join([*WORDS, *(f"##{letter}" for letter in WORDS[7:])]))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    BertConfig(**sizes).save_pretrained(folder)
    if sizes:
        BertModel(BertConfig(**sizes)).save_pretrained(folder)
    return folder


def make_data(folder: Path) -> None:
    """All of it, in ``folder/data``: composed by the engine, and drawn by hand where real data would lie."""
    rng = np.random.default_rng(0)
    _coco(folder / "data/coco", rng)
    _lvis(folder / "data/lvis_v1", rng)
    _pretraining(folder / "data", rng)
    lvis = str(folder / "data/lvis_v1/annotations/lvis_v1_train.json")
    composed = {"FC-100K": (None, "odvg"), "COCO-50K": ("coco", "coco"), "LVIS-50K": (lvis, "lvis")}
    composed["ablations/naive"] = composed["COCO-50K"]
    for name, (vocabulary, form) in composed.items():
        recipe = Recipe(
            canvas=(HEIGHT, WIDTH),
            segments={"type": "sample", **({"vocabulary": vocabulary} if vocabulary else {})},
            backgrounds={"type": "gradient"},
            layout={"type": "StructuredLayout", "counts": (2, 5), "crowded": "fewer"},
            vocabulary=vocabulary,
            formats=[form] if form != "odvg" else [form, "referring"],
        )
        synthesize(recipe, folder / "data/sos" / name, 4, progress=False)
    _intra_class(folder / "data/sos/SFC-val", rng)
    build_index(list_records({"type": "sample"}, ErrorCollector("error")), folder / "data/sos/FC.arrow")


def _image(path: Path, rng: np.random.Generator) -> list[tuple[list[int], int]]:
    """Writes an image of three rectangles; their xywh boxes and which class of three each is."""
    image, found = np.full((HEIGHT, WIDTH, 3), 128, np.uint8), []
    for label in range(3):
        x, y = int(rng.integers(2, WIDTH - 40)), int(rng.integers(2, HEIGHT - 30))
        w, h = rng.integers(14, 28, 2).tolist()
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
        found.append(([x, y, w, h], label))
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return found


def _instances(folder: Path, part: str, number: int, ids: list[int], rng: np.random.Generator) -> tuple[list, list]:
    images, annotations = [], []
    for index in range(1, number + 1):
        name = f"{part}/{index:012}.jpg"
        images.append({"id": index, "file_name": Path(name).name, "height": HEIGHT, "width": WIDTH})
        images[-1]["coco_url"] = f"http://images.cocodataset.org/{name}"
        for (x, y, w, h), label in _image(folder / name, rng):
            outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            common = {"id": len(annotations) + 1, "image_id": index, "category_id": ids[label], "iscrowd": 0}
            annotations.append(common | {"bbox": [x, y, w, h], "area": w * h, "segmentation": outline})
    return images, annotations


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _coco(folder: Path, rng: np.random.Generator) -> None:
    categories = [{"id": id, "name": name} for name, id in read_vocabulary("coco").items()]
    for part, number in (("train2017", 4), ("val2017", 2)):
        images, annotations = _instances(folder, part, number, [1, 17, 90], rng)
        content = {"images": images, "annotations": annotations, "categories": categories}
        _write(folder / f"annotations/instances_{part}.json", content)
    make_subsets(folder / "annotations/instances_train2017.json", folder / "annotations", [1, 10, 50])


def _lvis(folder: Path, rng: np.random.Generator) -> None:
    from mmdet.datasets import LVISV1Dataset

    categories = [
        {"id": id, "name": name, "synset": f"{name}.n.01", "synonyms": [name], "def": name}
        | {"frequency": "rcf"[id % 3], "image_count": 4, "instance_count": 4}
        for id, name in enumerate(LVISV1Dataset.METAINFO["classes"], 1)
    ]
    for part, number in (("train", 4), ("val", 2)):
        images, annotations = _instances(folder, f"{part}2017", number, [1, 2, 3], rng)
        for image in images:
            image |= {"neg_category_ids": [4], "not_exhaustive_category_ids": []}
        content = {"images": images, "annotations": annotations, "categories": categories}
        _write(folder / f"annotations/lvis_v1_{part}.json", content)
    # Grounding models are judged on the same images where COCO lies.
    coco = folder.parent / "coco"
    shutil.copytree(folder / "val2017", coco / "val2017", dirs_exist_ok=True)
    content |= {"images": images[:1], "annotations": [each for each in annotations if each["image_id"] == 1]}
    _write(coco / "annotations/lvis_v1_minival_inserted_image_name.json", content)


def _intra_class(folder: Path, rng: np.random.Generator) -> None:
    """Two expressions, each of one of the three objects in its image."""
    images, annotations = [], []
    for index in (1, 2):
        (target, _), *others = _image(folder / f"images/{index}.jpg", rng)
        images.append({"id": index, "file_name": f"{index}.jpg", "height": HEIGHT, "width": WIDTH, "caption": "a box"})
        images[-1]["distractors"] = [box for box, _ in others]
        annotations.append({"id": index, "image_id": index, "category_id": 1, "bbox": target})
    _write(folder / "annotations/intra_class.json", {"images": images, "annotations": annotations})


def _pretraining(data: Path, rng: np.random.Generator) -> None:
    """Objects365 by category, Flickr30k and GQA by phrase: ODVG as mmdet's converters write it."""
    names = ["red box", "blue box", "cup/mug"]
    sources = {
        "objects365v1": ("o365v1_train_odvg.json", "train"),
        "flickr30k_entities": ("final_flickr_separateGT_train_vg.json", "flickr30k_images"),
        "gqa": ("final_mixed_train_no_coco_vg.json", "images"),
    }
    for source, (annotations, images) in sources.items():
        lines = []
        for index in range(4):
            found = _image(data / source / images / f"{index}.jpg", rng)
            boxes = [([x, y, x + w, y + h], label) for (x, y, w, h), label in found]
            line = {"filename": f"{index}.jpg", "height": HEIGHT, "width": WIDTH}
            if source == "objects365v1":
                instances = [{"bbox": box, "label": label, "category": names[label]} for box, label in boxes]
                lines.append(line | {"detection": {"instances": instances}})
            else:
                lines.append(line | {"grounding": _grounding(boxes)})
        (data / source / annotations).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    _write(data / "objects365v1/o365v1_label_map.json", {str(label): name for label, name in enumerate(names)})


def _grounding(boxes: list[tuple[list[int], int]]) -> dict:
    caption = "a red box and a blue box beside a cup"
    phrases = ("a red box", "a blue box", "a cup")
    spans = [[caption.index(phrase), caption.index(phrase) + len(phrase)] for phrase in phrases]
    regions = [{"bbox": box, "phrase": phrases[label], "tokens_positive": [spans[label]]} for box, label in boxes]
    return {"caption": caption, "regions": regions}
