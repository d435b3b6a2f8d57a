"""The output of referring: a sentence, what it means, and which instances."""

from dataclasses import dataclass, field
from typing import Any

KINDS = ("category", "attribute", "spatial", "mixed")


@dataclass(frozen=True)
class ReferringExpression:
    """A sentence that is proved to mean exactly its targets.

    Attributes:
        text: The sentence, such as 'the red mug to the left of the laptop'.
        targets: Positions in the image's ``instances``, rising; empty where the image shows nothing that it means.
        kind: What tells the targets apart, one of `KINDS`.
        plural: Whether it is worded for several targets.
        head: Half-open span of the characters that name the targets themselves ('red mug').
        meaning: Its logical form as JSON-ready values.
        near: For a sentence without targets, the true sentence that it is a near miss of.
        changed: For a near miss, what was changed: 'object', 'attribute', 'relation' or 'count'.
        pair: For one of a minimal pair, the true sentence of the same image that differs from it in one attribute or
        relation and means something else.
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
