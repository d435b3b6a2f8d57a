"""The output of `sos_mm.referring`: a sentence, its meaning, and its targets."""

from dataclasses import dataclass, field
from typing import Any

KINDS = ("category", "attribute", "spatial", "mixed")


@dataclass(frozen=True)
class ReferringExpression:
    """A sentence that is proved to mean exactly its targets.

    Attributes:
        text: The sentence, such as 'the red mug to the left of the laptop'.
        targets: Indices into the image's ``instances``, ascending; empty if the image shows nothing that it describes.
        kind: What distinguishes the targets, one of `KINDS`.
        plural: Whether it is worded for several targets.
        head: Half-open character span of the words that name the targets ('red mug').
        meaning: The logical form as JSON-ready values; see `sos_mm.referring.meaning`.
        near: For a sentence without targets, the true sentence from which it was changed.
        changed: For a sentence without targets, the change: 'object', 'attribute', 'relation' or 'count'.
        pair: For the second sentence of a minimal pair, the first one: a true sentence about the same image that
            differs in one attribute or relation and has another target.
        language: The language of the text, as an ISO 639-1 code.
    """

    text: str
    targets: tuple[int, ...]
    kind: str
    plural: bool
    head: tuple[int, int]
    meaning: dict[str, Any] = field(default_factory=dict)
    near: str = ""
    changed: str = ""
    language: str = "en"
    pair: str = ""
