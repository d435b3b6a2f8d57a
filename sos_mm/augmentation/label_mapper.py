"""Labels, captions and class names of the objects that are pasted into a sample.

All functions here are pure: they take values of a sample and return new ones, which `SegmentPaste` puts into it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.checks import check_choice, few
from sos_mm.composition.scene import SceneObject
from sos_mm.formats.phrases import caption_phrase, category_key
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.vocabulary import nearest_category, read_vocabulary

UNKNOWN = ("error", "skip", "append")


@dataclass(frozen=True)
class Named:
    """Labels and texts of the objects pasted into a sample.

    Attributes:
        labels: The label of each object.
        words: The changed ones of the sample's ``text`` and ``phrases``.
    """

    labels: list[int]
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelMapper:
    """Determines labels and captions of pasted objects.

    Attributes:
        labels: Labels by category, from `find_labels`; None if samples have no classes.
    """

    labels: Mapping[str, int] | None = None

    def name(
        self, objects: Sequence[SceneObject], text: Any = None, phrases: Mapping[int, Mapping[str, Any]] | None = None
    ) -> Named:
        """Returns the labels of objects, and the sample's new texts.

        Args:
            objects: The pasted objects.
            text: The sample's ``text``: a caption with ``phrases``, or a label map (names by label), to which
                missing categories are added.
            phrases: The sample's ``phrases``, see `Caption`; None if labels are indices of classes.

        Returns:
            The labels, which are indices of phrases if there are any, else indices of classes, or 0 without classes;
            and the new texts.
        """
        if phrases is not None:
            caption, labels = Caption(text, phrases).add(objects)
            return Named(labels, {"text": caption.text, "phrases": caption.phrases})
        if self.labels is None:
            return Named([0] * len(objects))
        labels = [self.labels[each.category] for each in objects]
        if not isinstance(text, Mapping):
            return Named(labels)
        named = zip(map(str, labels), objects, strict=True)
        new = {label: each.category for label, each in named if label not in text}
        return Named(labels, {"text": {**text, **new}} if new else {})


@dataclass(frozen=True)
class Caption:
    """The caption of a grounding sample, in the form of mmdet's `ODVGDataset`.

    Attributes:
        text: The caption.
        phrases: Dicts by label with ``phrase`` and ``tokens_positive``, its half-open character spans in the caption.
    """

    text: str
    phrases: Mapping[int, Mapping[str, Any]]

    @property
    def known(self) -> dict[str, int]:
        """Labels by phrase, in lower case."""
        return {str(entry["phrase"]).lower(): label for label, entry in self.phrases.items()}

    def add(self, objects: Sequence[SceneObject]) -> tuple["Caption", list[int]]:
        """Appends the objects' phrases to the caption, and returns each object's label.

        A phrase that the caption contains is not repeated: it then refers to the new object as well.
        """
        text, phrases = self.text, dict(self.phrases)
        known = self.known
        labels = []
        for each in objects:
            phrase = phrase_of(each)
            if phrase not in known:
                text, span = append_phrase(text, phrase)
                known[phrase] = max(phrases, default=-1) + 1
                phrases[known[phrase]] = {"phrase": phrase, "tokens_positive": [list(span)]}
            labels.append(known[phrase])
        return Caption(text, phrases), labels


def phrase_of(each: SceneObject | SegmentRecord) -> str:
    """Returns the phrase of an object for a caption, in lower case, as grounding models expect."""
    return caption_phrase(each.phrase, each.category).lower()


def append_phrase(text: str, phrase: str) -> tuple[str, tuple[int, int]]:
    """Appends a phrase, closed by a full stop, to a caption; returns the caption and the half-open span of the phrase.

    >>> append_phrase("a dog", "a red apple")
    ('a dog. a red apple.', (7, 18))
    """
    text = closed(text)
    if text:
        text += " "
    return f"{text}{phrase}.", (len(text), len(text) + len(phrase))


def closed(text: str) -> str:
    """Ends a non-empty caption by a full stop, so that a phrase can follow."""
    text = text.rstrip()
    return text if not text or text.endswith(".") else f"{text}."


def class_names(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Returns the classes of a data set in the order of their labels.

    Args:
        classes: Names in that order; 'coco' or 'lvis', or a COCO or LVIS annotation file, whose categories have labels
            in the order of their ids, as mmdet's data sets give them.

    Raises:
        FileNotFoundError, ValueError: From `read_vocabulary`.
    """
    ids = read_vocabulary(classes)
    return tuple(sorted(ids, key=lambda name: ids[name]))


def find_labels(categories: Iterable[str], classes: Sequence[str], unknown: str = "error") -> dict[str, int]:
    """Finds the label of each category of a bank in the classes of a data set.

    Args:
        categories: Categories of the bank.
        classes: Classes of the data set; ``cell_phone`` and ``Cell phone`` are the same.
        unknown: What to do with categories that are none of the classes: 'error'; 'skip' leaves them out; 'append'
            gives them the labels after the last one, in alphabetical order.

    Raises:
        ValueError: If a category is none of the classes and ``unknown`` is 'error', or none is left.
    """
    check_choice("unknown", unknown, UNKNOWN)
    known = {category_key(name): label for label, name in enumerate(classes)}
    unmatched = sorted({name for name in categories if category_key(name) not in known}, key=category_key)
    if unmatched and unknown == "error":
        raise ValueError(
            f"The bank holds {few(unmatched)}, which the data set's classes do not name."
            f"{nearest_category(unmatched[0], known)} Leave them out with `unknown='skip'`, or give them labels of "
            "their own with `unknown='append'`."
        )
    if unknown == "append":
        for name in unmatched:
            known.setdefault(category_key(name), len(known))
    labels = {name: known[category_key(name)] for name in categories if category_key(name) in known}
    if not labels:
        raise ValueError("The bank and the data set must share a category, but no category of the bank is a class.")
    return labels


def names_of_labels(text: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the classes of a label map such as ODVG's ``{"0": "person"}``, in the order of the labels.

    Raises:
        ValueError: If labels are missing between 0 and the last.
    """
    try:
        return tuple(text[str(label)] for label in range(len(text)))
    except KeyError as error:
        raise ValueError(
            f"The label map must name every label from 0 to {len(text) - 1}, but lacks {error}."
        ) from error
