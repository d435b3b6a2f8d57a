"""Described object detection (DoD, the D-cube data set): which of a group's sentences hold of which objects.

mmdet's `DODDataset` reads four pickles through the package `ddd-dataset`, and a COCO file whose categories are the
sentences. Pickles are written here since that package reads nothing else; they hold plain dicts, lists, texts and
numbers. Nothing in sos_mm reads a pickle.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic
from sos_mm.checks import writable_folder
from sos_mm.formats.boxes import xyxy_to_xywh
from sos_mm.formats.json_writer import write_json_lists
from sos_mm.formats.mdetr import Expression
from sos_mm.formats.records import Record

# Python 3.4 and later read it.
_PROTOCOL = 4


class DodFiles:
    """The five files of a DoD data set, collected in memory.

    Each image is a separate group, whose sentences are those of its expressions. Equal sentences are one sentence of
    the data set. A sentence without target in an image is listed for the image and has no box there.

    Args:
        sentences: Sentences that get the first ids, from 1; others follow as they are added.
    """

    def __init__(self, sentences: Sequence[str] = ()):
        self._sentences: dict[str, Record] = {}
        for text in sentences:
            self._sentence(text)
        self._images: list[Record] = []
        self._groups: list[Record] = []
        self._annotations: list[Record] = []

    def add(self, expressions: Sequence[Expression]) -> None:
        """Adds an image, given by all its expressions; an image without expressions is left out."""
        if not expressions:
            return
        id, asked = len(self._images) + 1, []
        answers: dict[Any, list[Record]] = {}
        for each in expressions:
            sentence = self._sentence(each.text)
            asked.append(sentence["id"])
            sentence["group_id"].append(id)
            for target in each.targets:
                answers.setdefault((target.id, tuple(target.box)), []).append(sentence)
        image = {"id": id, **expressions[0].image, "original_id": expressions[0].image_id}
        annotations = [self._annotation(id, box, sentences) for (_, box), sentences in answers.items()]
        self._images.append(image | {"anno_id": [each["id"] for each in annotations], "group_id": id})
        self._groups.append({"id": id, "img_id": [id], "inner_sent_id": sorted(set(asked)), "outer_sent_id": []})

    def _sentence(self, text: str) -> Record:
        new = {"id": len(self._sentences) + 1, "raw_sent": text, "anno_id": [], "group_id": []}
        return self._sentences.setdefault(text, new)

    def _annotation(self, image: int, box: Sequence[float], sentences: Sequence[Record]) -> Record:
        xywh, ids = xyxy_to_xywh(box), sorted({each["id"] for each in sentences})
        record = {"id": len(self._annotations) + 1, "image_id": image, "group_id": image, "sent_id": ids}
        self._annotations.append(record | {"bbox": xywh, "area": xywh[2] * xywh[3], "iscrowd": 0})
        for each in sentences:
            each["anno_id"].append(record["id"])
        return self._annotations[-1]

    def write(self, folder: str | Path, stem: str) -> int:
        """Writes ``<stem>.json``, the COCO file, and the pickles in a folder of the name ``stem`` beside it.

        Returns:
            How many images they have.
        """
        folder = Path(folder)
        categories = [{"id": each["id"], "name": text} for text, each in self._sentences.items()]
        images = [{key: each[key] for key in ("id", "file_name", "height", "width")} for each in self._images]
        content = {"images": images, "annotations": self._answers(), "categories": categories}
        write_json_lists(folder / f"{stem}.json", content)
        pickles = writable_folder(folder / stem, "The folder of DoD's pickles")
        for name, records in (
            ("sentences", self._sentences.values()),
            ("images", self._images),
            ("groups", self._groups),
            ("annotations", self._annotations),
        ):
            pickled = pickle.dumps({each["id"]: each for each in records}, _PROTOCOL)
            write_atomic(pickles / f"{name}.pkl", pickled)
        return len(self._images)

    def _answers(self) -> list[Record]:
        """Returns the annotations of the COCO file: one for each object and each sentence that is true of it."""
        keys = ("image_id", "bbox", "area", "iscrowd")
        pairs = [(each, sentence) for each in self._annotations for sentence in each["sent_id"]]
        return [
            {"id": number, "category_id": sentence, **{key: each[key] for key in keys}}
            for number, (each, sentence) in enumerate(pairs, 1)
        ]
