"""ODVG: detection and grounding annotations as JSON lines, which mmdet's `ODVGDataset` reads for Grounding DINO."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYXY, XYXYS
from sos_mm.formats.json_reader import AnnotationFileError, read_json, record_lines
from sos_mm.formats.records import (
    FILE,
    ID,
    OBJECT,
    OBJECTS,
    SIZE,
    TEXT,
    WORDS,
    Complaint,
    Field,
    Fields,
    Record,
    as_list,
    check_record,
    is_integer,
    optional,
)

_SEPARATOR = ". "
# [CLS] and [SEP], which every caption has.
_SPECIAL_TOKENS = 2
_IMAGE = {"filename": FILE, "height": SIZE, "width": SIZE}
_LINE = _IMAGE | {"grounding": OBJECT}
_LINE |= {"expression_id": optional(ID), "image_id": optional(ID), "dataset_name": optional(TEXT)}
GROUNDING = {"caption": WORDS, "regions": OBJECTS}
LABEL = Field("an integer from 0", lambda value: is_integer(value) and value >= 0)
INSTANCE = {"bbox": XYXY, "label": LABEL, "category": optional(WORDS)}
_PHRASE = Field("words, or a list of them", lambda value: bool(value) and all(map(WORDS.holds, as_list(value))))
_BOX_OR_BOXES = Field(
    "a box of four finite numbers, left, top, right and bottom, or a list of boxes",
    lambda value: XYXY.holds(value) or (bool(value) and XYXYS.holds(value)),
)
REGION = {"bbox": _BOX_OR_BOXES, "phrase": _PHRASE}


def image_part(file_name: str, size: tuple[int, int]) -> Record:
    """Encodes the image fields of a line; ``size`` is height and width."""
    return {"filename": file_name, "height": size[0], "width": size[1]}


def instance_record(box: Sequence[float], label: int, category: str) -> Record:
    """Encodes an object of a detection line; the box is half-open xyxy."""
    return {"bbox": list(box), "label": label, "category": category}


def detection_line(file_name: str, size: tuple[int, int], instances: Iterable[Record]) -> Record:
    """Encodes the line of an image for detection; the size is height and width."""
    return image_part(file_name, size) | {"detection": {"instances": list(instances)}}


def grounding_line(file_name: str, size: tuple[int, int], groups: Iterable[tuple[str, list]]) -> Record:
    """Encodes the line of an image for grounding, with the phrases and boxes that `grounding_record` takes."""
    return image_part(file_name, size) | {"grounding": grounding_record(groups)}


def label_map(names: Iterable[str]) -> dict[str, str]:
    """Encodes the ``label_map_file`` of mmdet's `ODVGDataset` from the names in the order of their labels."""
    return {str(label): name for label, name in enumerate(names)}


def read_label_map(path: str | Path) -> dict[int, str]:
    """Reads the category names of labels from a ``label_map_file`` of mmdet's `ODVGDataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"The label map {path} does not exist.")
    try:
        content = read_json(path)
    except AnnotationFileError as error:
        raise ValueError(f"The label map cannot be read: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f'The label map {path} must be a JSON object such as {{"0": "dog"}}, but is not.')
    for label, name in content.items():
        if not re.fullmatch("[0-9]+", label) or not isinstance(name, str):
            entry = f"{label!r}: {name!r}"[:80]
            raise ValueError(f"The label map {path} must give names to integers from 0, but has {entry}.")
    return {int(label): name for label, name in content.items()}


def boxes_by_phrase(pairs: Iterable[tuple[str, list]]) -> list[tuple[str, list]]:
    """Groups boxes by phrase, ignoring case; each phrase keeps its first spelling and all its boxes."""
    groups: dict[str, tuple[str, list]] = {}
    for phrase, box in pairs:
        groups.setdefault(phrase.lower(), (phrase, []))[1].append(box)
    return list(groups.values())


def grounding_record(groups: Iterable[tuple[str, list]]) -> Record:
    """Encodes the caption of some phrases, with a region and its half-open character span for each phrase."""
    caption, regions = "", []
    for phrase, boxes in groups:
        start = len(caption)
        caption += phrase + _SEPARATOR
        regions.append(region_record(caption, [(start, start + len(phrase))], boxes))
    return {"caption": caption.rstrip(), "regions": regions}


def region_record(caption: str, spans: Sequence[Sequence[int]], boxes: list) -> Record:
    """Encodes the boxes that half-open character spans of a caption mean, of which there is at least one."""
    phrases = [caption[start:end] for start, end in spans]
    return {
        # A single box is not put into a list, as in the files of mmdet's converters; nor is a single phrase.
        "bbox": boxes if len(boxes) > 1 else boxes[0],
        "phrase": phrases if len(phrases) > 1 else phrases[0],
        "tokens_positive": [list(span) for span in spans],
    }


def chunks(groups: list[tuple[str, list]], max_characters: int | None) -> Iterator[list[tuple[str, list]]]:
    """Splits phrases with their boxes into groups whose captions have at most ``max_characters`` characters."""
    part: list[tuple[str, list]] = []
    length = 0
    for group in groups:
        # ". " between phrases, "." after the last one.
        if part and max_characters is not None and length + len(group[0]) + 1 > max_characters:
            yield part
            part, length = [], 0
        part.append(group)
        length += len(group[0]) + 2
    if part:
        yield part


def joined_record(expressions: Sequence[tuple[str, Mapping[Any, Sequence[float]]]]) -> Record:
    """Encodes one caption of several expressions, those without objects included.

    A region holds the boxes of the objects that the same expressions mean, with the spans of all of those, so that no
    expression is a negative of an object that it means. What means nothing has a part of the caption and no region.

    Args:
        expressions: Each text with the half-open xyxy boxes of what it means, by any key of the object. The texts must
            be as `clean_phrase` gives them.
    """
    caption = ""
    spans_of: dict[Any, list[tuple[int, int]]] = {}
    boxes: dict[Any, Any] = {}
    for text, meant in expressions:
        span = (len(caption), len(caption) + len(text))
        caption += text + _SEPARATOR
        for key, box in meant.items():
            spans_of.setdefault(key, []).append(span)
            boxes[key] = list(box)
    groups: dict[tuple, list] = {}
    for key, spans in spans_of.items():
        groups.setdefault(tuple(spans), []).append(boxes[key])
    caption = caption.rstrip()
    return {"caption": caption, "regions": [region_record(caption, spans, group) for spans, group in groups.items()]}


def parts_by_tokens(
    texts: Sequence[str], count: Callable[[str], int], draw_budget: Callable[[], int], longest: int
) -> Iterator[list[int]]:
    """Divides expressions among captions by their tokens, in their order.

    Args:
        texts: The expressions.
        count: Counts the tokens of a text, without special ones.
        draw_budget: Draws how many tokens a caption may have, its two special ones ([CLS] and [SEP]) included; called
            for each caption.
        longest: Most tokens of a caption. An expression that is longer alone is left out, since its end would be cut.

    Yields:
        Places of a caption's expressions, at least one.
    """
    part: list[int] = []
    used = budget = 0
    for position, text in enumerate(texts):
        length = count(f"{text}.")
        if length + _SPECIAL_TOKENS > longest:
            continue
        if not part or used + length > budget:
            if part:
                yield part
            part, used, budget = [], _SPECIAL_TOKENS, draw_budget()
        part.append(position)
        used += length
    if part:
        yield part


def read_detection(path: str | Path) -> Iterator[tuple[str, Record]]:
    """Yields the lines of a file for detection, each with its name for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in record_lines(path, {}):
        check_detection(line, name)
        yield name, line


def check_detection(line: Any, name: str) -> None:
    """Raises ValueError unless a line is one for detection; its instances are not checked. ``name`` names the line."""
    check_record(line, _IMAGE | {"detection": OBJECT}, f"{name} the line")
    check_record(line["detection"], {"instances": OBJECTS}, f"{name} `detection`")


def read_grounding(path: str | Path, grounding: Fields = GROUNDING) -> Iterator[tuple[str, Record]]:
    """Reads the lines of a grounding file; yields the name of each line, for error messages, and its record.

    Args:
        path: The JSON lines.
        grounding: Fields that ``grounding`` of each line must have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in record_lines(path, {}):
        check_grounding(line, name, grounding)
        yield name, line


def check_grounding(line: Any, name: str, grounding: Fields = GROUNDING) -> None:
    """Raises ValueError unless a line is one for grounding; its regions are not checked. ``name`` names the line."""
    check_record(line, _LINE, f"{name} the line")
    check_record(line["grounding"], grounding, f"{name} `grounding`")


def region_boxes(region: Record) -> list[Any]:
    """Returns the boxes of a region as a list; a file may hold a single box without a list around it."""
    boxes = region["bbox"]
    return boxes if isinstance(boxes, list) and boxes and isinstance(boxes[0], list) else [boxes]


def check_spans(spans: Any, caption: str, name: str) -> None:
    """Raises ValueError unless all spans are inside a caption; ``name`` names their owner."""
    if (wrong := spans_complaint(spans, caption)) is not None:
        raise ValueError(f"{name}: {wrong[0]}, but got {wrong[1]}.")


def spans_complaint(spans: Any, text: str) -> Complaint:
    """Checks half-open character spans of a text; returns what is wrong with them, or None."""
    if not isinstance(spans, list) or not spans:
        return "`tokens_positive` must be a list of spans", repr(spans)
    for span in spans:
        if not isinstance(span, list) or len(span) != 2 or not all(map(is_integer, span)):
            return "a span must be two integers", repr(span)
        if not 0 <= span[0] < span[1] <= len(text):
            return "a span must be inside its caption", f"{span} in a caption of {len(text)} characters"
    return None


def phrase_complaint(phrase: Any, spans: Sequence[Sequence[int]], text: str) -> Complaint:
    """Checks that spans of a text give a phrase, or each part of a list of phrases; returns what is wrong, or None."""
    words = [phrase] if isinstance(phrase, str) else phrase
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        return "`phrase` must be words, or a list of them", repr(phrase)
    given = " ".join(text[start:end] for start, end in spans)
    if given != " ".join(words):
        return "spans must give back their phrase", f"{spans} give {given!r}, the phrase is {phrase!r}"
    return None
