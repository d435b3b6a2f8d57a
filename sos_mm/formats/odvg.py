"""ODVG: detection and grounding as JSON lines, as mmdet's `ODVGDataset` reads them to train Grounding DINO."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sos_mm.formats.records import Complaint, Record, is_whole

_SEPARATOR = ". "


def image_part(image: Record) -> Record:
    """What ODVG says of an image."""
    return {"filename": image["file_name"], "height": image["height"], "width": image["width"]}


def boxes_by_phrase(pairs: Iterable[tuple[str, list]]) -> list[tuple[str, list]]:
    """Each phrase once, as first written, with all its boxes; upper and lower case are the same."""
    groups: dict[str, tuple[str, list]] = {}
    for phrase, box in pairs:
        groups.setdefault(phrase.lower(), (phrase, []))[1].append(box)
    return list(groups.values())


def grounding_record(groups: Iterable[tuple[str, list]]) -> Record:
    """The caption of some phrases, and a region with its half-open span of characters for each."""
    caption, regions = "", []
    for phrase, boxes in groups:
        start = len(caption)
        caption += phrase + _SEPARATOR
        # A single box stands alone, as mmdet's converters write it.
        box = boxes if len(boxes) > 1 else boxes[0]
        regions.append({"bbox": box, "phrase": phrase, "tokens_positive": [[start, start + len(phrase)]]})
    return {"caption": caption.rstrip(), "regions": regions}


def chunks(groups: list[tuple[str, list]], max_characters: int | None) -> Iterator[list[tuple[str, list]]]:
    """Phrases and their boxes, as many at a time as a caption holds."""
    part: list[tuple[str, list]] = []
    length = 0
    for group in groups:
        # ". " between phrases, "." behind the last.
        if part and max_characters is not None and length + len(group[0]) + 1 > max_characters:
            yield part
            part, length = [], 0
        part.append(group)
        length += len(group[0]) + 2
    if part:
        yield part


def spans_complaint(spans: Any, text: str) -> Complaint:
    """Of half-open spans of characters in a text."""
    if not isinstance(spans, list) or not spans:
        return "`tokens_positive` must be a list of spans", repr(spans)
    for span in spans:
        if not isinstance(span, list) or len(span) != 2 or not all(map(is_whole, span)):
            return "a span must be two whole numbers", repr(span)
        if not 0 <= span[0] < span[1] <= len(text):
            return "a span must be inside its caption", f"{span} in a caption of {len(text)} characters"
    return None


def phrase_complaint(phrase: Any, spans: Sequence[Sequence[int]], text: str) -> Complaint:
    """Of spans that are to give back a phrase, or each part of one that is a list."""
    words = [phrase] if isinstance(phrase, str) else phrase
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        return "`phrase` must be words, or a list of them", repr(phrase)
    given = " ".join(text[start:end] for start, end in spans)
    if given != " ".join(words):
        return "spans must give back their phrase", f"{spans} give {given!r}, the phrase is {phrase!r}"
    return None
