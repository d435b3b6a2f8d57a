"""Vocabularies: category names and their ids in data sets."""

import ast
import math
from bisect import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sos_mm.checks import check_integer, check_names, did_you_mean, few
from sos_mm.formats.coco import read_categories, read_image_counts
from sos_mm.formats.phrases import category_key

# In the order of their ids, which are 1 to 90 except those of the second line.
# fmt: off
_COCO_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
_COCO_SUPERCATEGORIES = (
    "person", "vehicle", "outdoor", "animal", "accessory", "sports",
    "kitchen", "food", "furniture", "electronic", "appliance", "indoor",
)
# fmt: on
# The first name of each of them.
_COCO_FIRST_IDS = (1, 2, 10, 16, 26, 34, 44, 52, 62, 72, 78, 84)
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
# Vocabularies that mmdet knows: its file, the class of the data set in it, and the number of names. Ids are 1 to N.
_OF_MMDET = {
    "lvis": ("lvis.py", "LVISV1Dataset", 1203),
    "objects365": ("objects365.py", "Objects365V2Dataset", 365),
    "ade20k": ("ade20k.py", "ADE20KInstanceDataset", 100),
}


def read_vocabulary(vocabulary: str | Path | Mapping[str, int] | Iterable[str]) -> dict[str, int]:
    """Returns the ids of a vocabulary by name; takes and raises what `vocabulary_entries` does."""
    return {entry["name"]: entry["id"] for entry in vocabulary_entries(vocabulary)}


def vocabulary_entries(vocabulary: str | Path | Mapping[str, int] | Iterable[str]) -> list[dict[str, Any]]:
    """Reads the categories of a vocabulary, with all their fields.

    Args:
        vocabulary: 'coco' (80 names, ids 1 to 90 with gaps); 'lvis' (v1, 1203 names), 'objects365' (v2, 365 names) or
            'ade20k' (the 100 names of its instances), with the ids 1 to N, which an installed mmdet knows; a COCO or
            LVIS annotation file; names with ids; or names alone, which get the ids 1 to N in their order.

    Returns:
        A dict with ``name`` and ``id`` for each; also ``supercategory`` for 'coco', and all fields of a file.

    Raises:
        FileNotFoundError: If there is no such file, nor a vocabulary of that name (says the nearest name).
        ValueError: If it names no categories, a category twice, or is one of mmdet's without mmdet.
    """
    entries: list[dict[str, Any]]
    if isinstance(vocabulary, Mapping):
        entries = [{"name": name, "id": id} for name, id in vocabulary.items()]
    elif vocabulary == "coco":
        entries = _coco_entries()
    elif isinstance(vocabulary, str) and vocabulary in _OF_MMDET:
        entries = [{"name": name, "id": id} for id, name in enumerate(_mmdet_names(vocabulary), 1)]
    elif isinstance(vocabulary, str | Path):
        check_vocabulary(vocabulary)
        entries = read_categories(vocabulary, "The vocabulary")
    elif isinstance(vocabulary, Iterable):
        entries = [{"name": name, "id": id} for id, name in enumerate(vocabulary, 1)]
    else:
        raise ValueError(f"`vocabulary` must be names or where they are, but got {vocabulary!r}.")
    _check_entries(entries)
    names, ids = {category_key(entry["name"]) for entry in entries}, {entry["id"] for entry in entries}
    if not entries or len(names) != len(entries) or len(ids) != len(entries):
        raise ValueError(f"`vocabulary` must name each category and id once, but got {vocabulary!r}.")
    return entries


def check_vocabulary(vocabulary: str | Path) -> None:
    """Raises FileNotFoundError, with the nearest name, unless a vocabulary has that name or there is such a file."""
    names, text = ("coco", *_OF_MMDET), str(vocabulary)
    if vocabulary not in names and not Path(vocabulary).is_file():
        raise FileNotFoundError(
            f"The vocabulary must be {', '.join(map(repr, names))}, a list of names, or an annotation file, but there "
            f"is neither a vocabulary nor a file {text!r}.{did_you_mean(text.lower(), names)}"
        )


def _check_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    for each in entries:
        if not isinstance(each["name"], str) or not category_key(each["name"]):
            raise ValueError(f"`vocabulary` must hold names with a letter or digit, but has {each['name']!r}.")
        check_integer(f"vocabulary[{each['name']!r}]", each["id"], 0, 2**31 - 1)


def _coco_entries() -> list[dict[str, Any]]:
    ids = (id for id in range(1, 91) if id not in _COCO_GAPS)
    return [
        {"name": name, "id": id, "supercategory": _COCO_SUPERCATEGORIES[bisect(_COCO_FIRST_IDS, id) - 1]}
        for name, id in zip(_COCO_NAMES, ids, strict=True)
    ]


def find_categories(names: Iterable[str], categories: Sequence[str], option: str = "vocabulary") -> list[int]:
    """Finds the indices of the categories that the names stand for, in the order of the categories.

    Args:
        names: The names.
        categories: Categories of a bank.
        option: The bank's option that has the names, for errors.

    Raises:
        ValueError: If a name matches none of them; names it and the nearest category.
    """
    wanted = {category_key(name): name for name in names}
    keys = [category_key(category) for category in categories]
    absent = sorted(set(wanted) - set(keys))
    if absent:
        hint = nearest_category(wanted[absent[0]], categories)
        names = few([wanted[key] for key in absent])
        raise ValueError(f"`{option}` names {names}, but the bank has no such category.{hint}")
    return [position for position, key in enumerate(keys) if key in wanted]


def nearest_category(name: str, categories: Iterable[str]) -> str:
    """Returns the end of an error message about an unknown category, which names the nearest one; '' if none is near.

    >>> nearest_category("Dogg", ["cat", "dog"]), nearest_category("dog", ["umbrella"])
    (" The nearest to 'Dogg' is 'dog'.", '')
    """
    by_key = {category_key(each): each for each in categories}
    near = get_close_matches(category_key(name), by_key, n=1, cutoff=0.5)
    return f" The nearest to {name!r} is {by_key[near[0]]!r}." if near else ""


def category_ids(categories: Iterable[str], vocabulary: Any = None) -> dict[str, int]:
    """Returns the id of each category: from a vocabulary, or 1 to N in the order of the names.

    Raises:
        ValueError: If a category is not in the vocabulary; names it and the nearest word.
    """
    categories = list(categories)
    if vocabulary is None:
        vocabulary = sorted({category_key(name) for name in categories})
    ids = {category_key(name): id for name, id in read_vocabulary(vocabulary).items()}
    unknown = sorted(name for name in categories if category_key(name) not in ids)
    if unknown:
        hint = nearest_category(unknown[0], ids)
        raise ValueError(f"The bank holds {few(unknown)}, but the vocabulary has no such category.{hint}")
    return {name: ids[category_key(name)] for name in categories}


def repeat_factors(annotations: str | Path | Mapping[str, int], threshold: float = 0.001, images: int = 0) -> dict:
    """Computes the repeat factor of each category, as LVIS training does: max(1, sqrt(t / f)).

    Args:
        annotations: An LVIS annotation file, whose categories have an ``image_count``; or these counts by category,
            together with ``images``.
        threshold: The share t of images below which a category is repeated; f is the category's share.
        images: Total number of images; that of the file if 0.

    Returns:
        Factor by category, at least 1.

    Raises:
        ValueError: If the file has no such counts.

    >>> repeat_factors({"dog": 25, "axolotl": 1}, threshold=0.01, images=10_000)
    {'dog': 2.0, 'axolotl': 10.0}
    """
    if not isinstance(annotations, Mapping):
        annotations, number = read_image_counts(annotations)
        images = images or number
    for name, count in annotations.items():
        check_integer(f"annotations[{name!r}]", count, 0, 2**63 - 1)
    if images <= 0 or not 0 < threshold <= 1:
        raise ValueError(f"`images` must be over 0 and `threshold` in (0, 1], but got {images} and {threshold}.")
    return {name: max(1.0, math.sqrt(threshold * images / max(count, 1))) for name, count in annotations.items()}


def _mmdet_names(vocabulary: str) -> tuple[str, ...]:
    """Reads the names from mmdet's source text, since importing mmdet needs torch and compiled operators."""
    file, dataset, size = _OF_MMDET[vocabulary]
    found = find_spec("mmdet")
    path = Path(found.origin).parent / "datasets" / file if found and found.origin else None
    if path and path.is_file():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == dataset:
                for each in ast.walk(node):
                    if isinstance(each, ast.Tuple) and len(each.elts) == size:
                        return tuple(name.strip() for name in ast.literal_eval(each))
    raise ValueError(
        f"The names of {vocabulary!r} must come from a file where mmdet is not installed: give the path of an "
        f"annotation file as `vocabulary` instead of {vocabulary!r}."
    )


def wanted_categories(vocabulary: str | Path | Iterable[str], categories: Sequence[str]) -> tuple[str, ...]:
    """Returns the categories that a vocabulary names; see `SegmentBank.select`."""
    if not isinstance(vocabulary, str | Path):
        vocabulary = vocabulary if isinstance(vocabulary, Collection) else list(vocabulary)
        check_names("vocabulary", vocabulary)
        return tuple(categories[position] for position in find_categories(vocabulary, categories))
    keys = {category_key(name) for name in read_vocabulary(vocabulary)}
    return tuple(name for name in categories if category_key(name) in keys)
