"""Mutations of annotation files, drawn from a seed, and what reads them: validator, readers, converters, pasting."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.annotations import panoptic as from_panoptic
from sos_mm.annotations.options import Options
from sos_mm.annotations.subsets import make_subsets
from sos_mm.annotations.validate import validate
from sos_mm.browse.reading import read_dataset
from sos_mm.browse.samples import sample_record
from sos_mm.checks import USER_ERRORS
from sos_mm.errors import ErrorCollector
from sos_mm.formats.mdetr import read_mdetr, to_mdetr
from sos_mm.formats.odvg_referring import read_odvg, to_odvg
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.refs import read_refs
from sos_mm.referring.reading import AnnotatedImages
from sos_mm.segments.factory import list_records
from tests.faults import world

# What replaces a value: other types, limits, texts of numbers, and texts that formats treat in their own ways.
_VALUES = (
    None, True, False, 0, 1, -1, 2, 99, 1.0, 0.5, -0.0, 1e300, nan, inf, -inf, 2**31, 2**53, 2**64, 10**400, "", " ", "1",
    "0", "dog", "no", "\n", "\u2028", "\x00", "\ud800", "../x", "/x", "a" * 500, [], {}, [1], [[]], [None], {"id": 1},
    [nan] * 4, [1, 2, 3, 4], ["1", "2", "3", "4"], [[1, 2, 3, 4, 5, 6]], [[2e8] * 6], {"size": [90, 120], "counts": [1]},
    {"size": [90, 120], "counts": "0"}, {"size": [2**20, 2**20], "counts": [2**40]},
)  # fmt: skip
_MOST_PLACES = 400


def places(value: Any, way: tuple = ()) -> Iterator[tuple]:
    """Yields the way to each value in a JSON value, from the top."""
    yield way
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from places(each, (*way, key))


def mutated(content: Any, rng: np.random.Generator) -> Any:
    """Returns a copy of a JSON value with one to three changes: values replaced, deleted, repeated or exchanged."""
    content = deepcopy(content)
    for _ in range(int(rng.integers(1, 4))):
        ways = list(places(content))[1:_MOST_PLACES]
        if not ways:
            return content
        *above, key = ways[int(rng.integers(len(ways)))]
        owner = content
        for each in above:
            owner = owner[each]
        what = rng.random()
        if what < 0.3 and type(owner[key]) in (int, float):
            owner[key] += int(rng.integers(-2, 3))
        elif what < 0.6:
            owner[key] = deepcopy(_VALUES[int(rng.integers(len(_VALUES)))])
        elif what < 0.75:
            del owner[key]
        elif what < 0.85 and isinstance(owner, list):
            owner.append(deepcopy(owner[key]))
        else:
            *other, last = ways[int(rng.integers(len(ways)))]
            source = content
            try:
                for each in (*other, last):
                    source = source[each]
            except (KeyError, IndexError, TypeError):
                continue
            owner[key] = deepcopy(source)
    return content


def spoiled_text(text: str, rng: np.random.Generator) -> bytes:
    """Returns a text with a cut, or some bytes replaced or repeated."""
    data = bytearray(text.encode())
    if rng.random() < 0.3:
        return bytes(data[: int(rng.integers(len(data)))])
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data)))
        data[at : at + int(rng.integers(0, 3))] = bytes(rng.integers(0, 256, int(rng.integers(0, 3)), dtype=np.uint8))
    return bytes(data)


def write_mutated(folder: Path, kind: str, seed: int) -> Path:
    """Writes a mutated file of a kind in place of the good one; the same seed gives the same bytes."""
    rng = np.random.default_rng([seed, *kind.encode()])
    path = world.file_of(folder, kind)
    content = world.MAKERS[kind]()
    if rng.random() < 0.15:
        world.write_json(path, content, kind)
        path.write_bytes(spoiled_text(path.read_text(encoding="utf-8"), rng))
        return path
    changed = mutated(content, rng)
    if kind in world.OF_LINES:
        text = "".join(json.dumps(each) + "\n" for each in (changed if isinstance(changed, list) else [changed]))
    else:
        text = json.dumps(changed)
    path.write_text(text, encoding="utf-8")
    return path


# Readers, by their names: each takes the folder and reads all of the file of a kind, with pixels.
Reader = Callable[[Path], object]


def _index(kind: str) -> Reader:
    def read(folder: Path) -> None:
        config = {"type": "coco", "annotations": str(world.file_of(folder, kind)), "images": str(folder / "photos")}
        for record in list_records(config, ErrorCollector()):
            record.read()

    return read


def _browse(kind: str) -> Reader:
    def read(folder: Path) -> None:
        data = read_dataset(world.file_of(folder, kind), folder / "photos")
        out = folder / "drawn/pictures"
        out.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(data.images):
            json.dumps(sample_record(image, number, out.parent, 1600)).encode()

    return read


def _refer(kind: str) -> Reader:
    return lambda folder: list(AnnotatedImages(world.file_of(folder, kind), folder / "photos", pixels=True))


def _subsets(kind: str) -> Reader:
    return lambda folder: make_subsets(world.file_of(folder, kind), folder / "parts", [50])


def _panoptic(convert: Callable) -> Reader:
    return lambda folder: json.dumps(list(convert(PanopticFile(folder / "panoptic.json"))), ensure_ascii=False).encode()


def _paste(folder: Path) -> None:
    """Pastes the objects of the file into an image."""
    from sos_mm.augmentation import SegmentPaste

    bank = {"type": "coco", "annotations": str(folder / "coco.json"), "images": str(folder / "photos")}
    paste = SegmentPaste(bank, prob=1.0)
    paste({"img": np.full((64, 80, 3), 127, np.uint8), "img_path": "x.jpg", "sample_idx": 0})


READERS: dict[str, dict[str, Reader]] = {
    "coco": {
        "index": _index("coco"), "browse": _browse("coco"), "refer": _refer("coco"), "subsets": _subsets("coco"),
        "paste": _paste,
        "refs-mdetr": lambda folder: to_mdetr(read_refs(folder / "refs.json", folder / "coco.json")),
    },
    "lvis": {"index": _index("lvis"), "browse": _browse("lvis"), "refer": _refer("lvis"), "subsets": _subsets("lvis")},
    "panoptic": {
        "browse": _browse("panoptic"), "refer": _refer("panoptic"), "subsets": _subsets("panoptic"),
        "panoptic-odvg": _panoptic(from_panoptic.grounding_lines),
        "panoptic-odvg-detection": _panoptic(from_panoptic.detection_lines),
        "panoptic-intra-class": _panoptic(from_panoptic.intra_class),
    },
    "mdetr": {"mdetr-odvg": lambda folder: list(to_odvg(read_mdetr(folder / "mdetr.json")))},
    "refs": {"refs-odvg": lambda folder: list(to_odvg(read_refs(folder / "refs.json", folder / "coco.json")))},
    "detection": {"browse": _browse("detection"), "refer": _refer("detection")},
    "grounding": {
        "browse": _browse("grounding"), "refer": _refer("grounding"),
        "odvg-mdetr": lambda folder: to_mdetr(read_odvg(folder / "grounding.jsonl")),
    },
    "objects": {"browse": _browse("objects"), "refer": _refer("objects")},
}  # fmt: skip
# The validator has no kind for these: their readers are the only ones.
_UNVALIDATED = ("objects",)
# What readers need beyond a faultless file, in their messages: at least one record of use.
_EMPTY = ("must hold objects to cut out", "must hold at least one", "is empty: give another file")
# What depends on a second file, on masks, or on names of labels, which a faultless file need not have.
_ELSEWHERE = (
    "as `segmentation`, but has none",
    "it names the image",
    "it names the annotation",
    "it is of the image",
    "give the label map",
)
_KINDS = {"detection": "odvg", "grounding": "odvg"}


def judge(folder: Path, kind: str, seed: int) -> tuple[bool, list[str]]:
    """Mutates a file and reads it with everything.

    Returns:
        Whether the validator finds no fault, and what is wrong: an exception that no reader may raise, or a file that
        the validator accepts and a reader refuses.
    """
    path, wrong, faultless = write_mutated(folder, kind, seed), [], False
    if kind != "objects":
        # Browsing would take it for the description of a composed data set's objects.
        world.file_of(folder, "objects").unlink(missing_ok=True)
    name = f"{kind}, seed {seed}"
    if kind not in _UNVALIDATED:
        try:
            images = folder if kind == "lvis" else folder / "photos"
            masks = folder / "panoptic" if kind == "panoptic" else None
            found = validate(path, _KINDS.get(kind, kind), Options(images, masks))
            found.describe().encode()
            faultless = not found.counts
        except Exception as error:
            wrong.append(f"{name}, validate: {type(error).__name__}: {error}")
    for tool, read in READERS[kind].items():
        try:
            read(folder)
        except USER_ERRORS as error:
            if isinstance(error, UnicodeError):
                wrong.append(f"{name}, {tool}: {type(error).__name__}: {error}")
            elif faultless and not any(text in str(error) for text in (*_EMPTY, *_ELSEWHERE)):
                wrong.append(f"{name}, {tool} refuses what the validator accepts: {error}")
        except Exception as error:
            wrong.append(f"{name}, {tool}: {type(error).__name__}: {error}")
    return faultless, wrong
