"""Requests to a language model and their answers."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sos_mm.checks import check_choice
from sos_mm.language_model.usage import Usage

Item = TypeVar("Item")
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, eq=False)
class Request:
    """A question with a JSON Schema of its answer.

    Attributes:
        messages: The chat so far, as ``{"role": ..., "content": ...}``; the last one is the user's.
        schema: JSON Schema (draft 2020-12) of the answer; its own ``type`` is 'object'.
        check: A further check of the answer, such as that its ids exist; raises `FaultyInputError`.
        name: Name of the schema; letters, digits, '_' and '-'.

    Raises:
        ValueError: If the messages or the schema are invalid.
    """

    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any]
    check: Callable[[Any], None] | None = None
    name: str = "answer"

    def __post_init__(self):
        if not self.messages or self.messages[-1].get("role") != "user":
            raise ValueError("`messages` must end with one of role 'user'.")
        for message in self.messages:
            check_choice("messages[].role", message.get("role"), ROLES)
            content = message.get("content")
            if not isinstance(content, str) or not content or not _is_unicode(content):
                raise ValueError(f"`messages[].content` must be a text, but got {content!r:.100}.")
        if self.schema.get("type") != "object":
            raise ValueError(f"`schema` must be of type 'object', but is of {self.schema.get('type')!r}.")

    @property
    def schema_text(self) -> str:
        """The schema as JSON."""
        return json.dumps(self.schema, ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """The answer to one `Request`.

    Attributes:
        value: The answer, valid by the schema; None if refused.
        reason: Why the request is refused, in a few words, by which refusals are counted; empty if it is not.
        text: The reason in full sentences.
    """

    value: Any = None
    reason: str = ""
    text: str = ""


class LanguageModel(Protocol):
    """The interface of language models, such as an endpoint on the network."""

    usage: Usage

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yields the answers to requests, in order; a request without a usable answer is refused and counted.

        Raises:
            EndpointError: If no request can be answered.
        """


def ask_each(
    model: LanguageModel, items: Iterable[Item], request: Callable[[Item], Request | None]
) -> Iterator[tuple[Item, Answer | None]]:
    """Yields each item with the answer to its request, in order; None as the answer if an item has no request."""
    waiting: deque[tuple[Item, bool]] = deque()

    def requests() -> Iterator[Request]:
        for item in items:
            asked = request(item)
            waiting.append((item, asked is not None))
            if asked is not None:
                yield asked

    for answer in model.ask(requests()):
        while not waiting[0][1]:
            yield waiting.popleft()[0], None
        yield waiting.popleft()[0], answer
    yield from ((item, None) for item, _ in waiting)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
