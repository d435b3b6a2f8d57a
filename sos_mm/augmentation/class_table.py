"""Which label the categories of a bank have in the classes of a data set."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from sos_mm.checks import check_choice, few
from sos_mm.segments.vocabulary import category_key, read_vocabulary

UNKNOWN = ("error", "skip", "append")


def class_names(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    """The classes of a data set in the order of their labels.

    Args:
        classes: Names in that order; 'coco' or 'lvis', or a COCO or LVIS annotation file, whose categories have labels
            in the order of their ids, as mmdet's data sets give them.

    Raises:
        FileNotFoundError, ValueError: As `read_vocabulary`.
    """
    ids = read_vocabulary(classes)
    return tuple(sorted(ids, key=ids.__getitem__))


def find_labels(categories: Iterable[str], classes: Sequence[str], unknown: str = "error") -> dict[str, int]:
    """Label by category.

    Args:
        categories: Those of a bank.
        classes: Those of the data set; ``cell_phone`` and ``Cell phone`` are the same.
        unknown: What to do with categories that are none of them: 'error'; 'skip' leaves them out; 'append' gives
            them the labels after the last, in alphabetical order.

    Raises:
        ValueError: If a category is none of the classes and ``unknown`` is 'error', or none is left.
    """
    check_choice("unknown", unknown, UNKNOWN)
    known = {category_key(name): label for label, name in enumerate(classes)}
    strange = sorted({name for name in categories if category_key(name) not in known}, key=category_key)
    if strange and unknown == "error":
        near = get_close_matches(category_key(strange[0]), known, n=1, cutoff=0.5)
        hint = f" The nearest to {strange[0]!r} is {near[0]!r}." if near else ""
        raise ValueError(
            f"The bank holds {few(strange)}, which the data set's classes do not name.{hint} Leave them out with "
            "`unknown='skip'`, or give them labels of their own with `unknown='append'`."
        )
    if unknown == "append":
        for name in strange:
            known.setdefault(category_key(name), len(known))
    labels = {name: known[category_key(name)] for name in categories if category_key(name) in known}
    if not labels:
        raise ValueError("The bank and the data set must share a category, but no category of the bank is a class.")
    return labels


def names_of_labels(text: Mapping[str, str]) -> tuple[str, ...]:
    """The classes of a label map such as ODVG's ``{"0": "person"}``, in the order of the labels.

    Raises:
        ValueError: If labels are missing between 0 and the last.
    """
    try:
        return tuple(text[str(label)] for label in range(len(text)))
    except KeyError as error:
        raise ValueError(
            f"The label map must name every label from 0 to {len(text) - 1}, but lacks {error}."
        ) from error
