"""Converts our own file of expressions to the formats of other tools, one image at a time."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sos_mm.atomic import atomic_text
from sos_mm.formats.dod import DodFiles
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, image_record, target_records
from sos_mm.formats.records import Record
from sos_mm.formats.referring import expressions_of
from sos_mm.formats.refs import ref_records
from sos_mm.referring.intra_class import intra_class_samples
from sos_mm.referring.lines import read_lines
from sos_mm.referring.outputs import CaptionWriter, single_lines
from sos_mm.referring.reading import AnnotatedImages
from sos_mm.seeding import Purpose, generator

# The files of each output, by the output's name.
FILES = {
    "odvg": ("odvg_referring.jsonl", "odvg_expressions.jsonl"),
    "grefcoco": ("grefcoco.json",),
    "refcoco": ("refcoco.json",),
    "refs": ("grefs.json",),
    "dod": ("dod.json", "dod"),
    "intra_class": ("intra_class.json",),
}


class Exporter:
    """Converts our own file of expressions to other formats.

    Args:
        lines: Our own file.
        images: The images of the expressions.
        captions: Joins expressions into captions.
        seed: Seed of the order in captions.
        split: Name of the split in the format 'refs'.
    """

    def __init__(self, lines: Path, images: AnnotatedImages, captions: CaptionWriter, seed: int, split: str):
        self._path, self._images, self._captions = lines, images, captions
        self._seed, self._split = seed, split
        self._categories = [{"id": id, "name": name} for name, id in images.categories.items()]

    def write(self, output: str, out: Path) -> dict[str, int]:
        """Writes the files of one of `OUTPUTS` into a folder; returns the number of records by file name."""
        return OUTPUTS[output](self, out)

    def odvg(self, out: Path) -> dict[str, int]:
        """Writes ODVG for grounding: captions of several expressions, and lines of one expression."""
        joined = (record for line in self._lines() for record in self._captions.lines(line, self._rng(line)))
        single = (record for line in self._lines() for record in single_lines(line))
        parts = zip(FILES["odvg"], (joined, single), strict=True)
        return {name: write_json_lines(out / name, records) for name, records in parts}

    def _rng(self, line: Record):
        return generator(self._seed, Purpose.REFERRING_CAPTION, line["index"])

    def grefcoco(self, out: Path) -> dict[str, int]:
        """Writes all expressions in MDETR's style."""
        return self._write_lists(out / FILES["grefcoco"][0], lambda: self._all("grefcoco"))

    def refcoco(self, out: Path) -> dict[str, int]:
        """Writes the expressions with one target in MDETR's style."""
        return self._write_lists(out / FILES["refcoco"][0], self._of_one_object)

    def intra_class(self, out: Path) -> dict[str, int]:
        """Writes the expressions that distinguish one object from others of its category."""
        return self._write_lists(out / FILES["intra_class"][0], self._samples)

    def refs(self, out: Path) -> dict[str, int]:
        """Writes all expressions in the format of gRefCOCO's authors, with annotation ids of the source."""
        records = (
            record
            for line in self._lines()
            for record in ref_records(expressions_of(line, str(self._path), "grefcoco"), self._split)
        )
        number, (name,) = 0, FILES["refs"]
        with atomic_text(out / name) as file:
            for number, record in enumerate(records, 1):
                file.write(f"{',' if number > 1 else '['}\n{json.dumps(record, ensure_ascii=False)}")
            file.write("\n]\n" if number else "[]\n")
        return {name: number}

    def dod(self, out: Path) -> dict[str, int]:
        """Writes described object detection (DoD) files; holds all expressions in memory."""
        files = DodFiles()
        for line in self._lines():
            files.add(expressions_of(line, str(self._path), "dod"))
        name, stem = FILES["dod"]
        return {name: files.write(out, stem)}

    def _lines(self) -> Iterator[Record]:
        return read_lines(self._path)

    def _all(self, dataset_name: str | None) -> Iterator[Expression]:
        return (each for line in self._lines() for each in expressions_of(line, str(self._path), dataset_name))

    def _of_one_object(self) -> Iterator[Expression]:
        return (each for each in self._all(None) if len(each.targets) == 1)

    def _samples(self) -> Iterator[Expression]:
        images = self._images.boxes_alone().numbered()
        for line in self._lines():
            image = next(image for index, image in images if index == line["index"])
            yield from intra_class_samples(image, line)

    def _write_lists(self, path: Path, read: Callable[[], Iterable[Expression]]) -> dict[str, int]:
        """Writes expressions in MDETR's style in two passes, so that none is held in memory."""
        number = Counter[str]()

        def images() -> Iterator[Record]:
            for expression in read():
                number["images"] += 1
                yield image_record(expression)

        def annotations() -> Iterator[Record]:
            records = (record for expression in read() for record in target_records(expression))
            for id, record in enumerate(records, 1):
                yield {"id": id, **record}

        content = {"categories": self._categories, "images": images(), "annotations": annotations()}
        write_json_lists(path, content)
        return {path.name: number["images"]}


# The writer of each output, by the output's name.
OUTPUTS: dict[str, Callable[[Exporter, Path], dict[str, int]]] = {
    "odvg": Exporter.odvg,
    "grefcoco": Exporter.grefcoco,
    "refcoco": Exporter.refcoco,
    "refs": Exporter.refs,
    "dod": Exporter.dod,
    "intra_class": Exporter.intra_class,
}


def summarize(path: Path) -> Record:
    """Counts the expressions of our own file: by kind, by the number of targets, by what near misses changed."""
    counts, kinds, targets, changed = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for line in read_lines(path):
        counts["images"] += 1
        counts["images without expressions"] += not line["expressions"]
        for each in line["expressions"]:
            counts["expressions"] += 1
            counts["words"] += len(each["text"].split())
            kinds[each["kind"]] += 1
            targets["none" if not each["targets"] else "one" if len(each["targets"]) == 1 else "several"] += 1
            if each["changed"]:
                changed[each["changed"]] += 1
    counted = {"by kind": kinds, "by number of targets": targets, "near misses": changed}
    return {**counts, **{name: dict(sorted(each.items())) for name, each in counted.items()}}
