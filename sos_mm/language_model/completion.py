"""Parses and validates an endpoint's response: the body of a chat completion, and the JSON inside it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sos_mm.checks import FaultyInputError, require

TOO_LARGE = "too large"
EXTRA = "install the extra: pip install 'sos_mm[language-model]'"
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Completion:
    """One answer of a language model, before it is known to be usable.

    Attributes:
        text: The text of the answer, which may be empty.
        finish: Why generation ended: 'stop', 'length', another value of the endpoint, or `TOO_LARGE`.
        prompt_tokens: Number of tokens of the prompt, as the endpoint counts; 0 if it does not report them.
        completion_tokens: Number of tokens of the answer, likewise.
        cached_tokens: Number of tokens of the prompt that were in the endpoint's cache, likewise.
    """

    text: str
    finish: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __post_init__(self):
        if not isinstance(self.text, str) or not isinstance(self.finish, str):
            raise TypeError(f"`text` must be a text, but got {type(self.text).__name__}.")

    @classmethod
    def from_body(cls, body: bytes) -> "Completion":
        """Reads the body of a response.

        Raises:
            ValueError: If it is not a chat completion.
        """
        try:
            response = json.loads(body)
            choice = response["choices"][0]
            message = choice["message"]
            text, declined = message.get("content") or "", message.get("refusal")
            finish = "declined" if declined and not text else str(choice.get("finish_reason") or "stop")
            usage = response.get("usage") or {}
            details = usage.get("prompt_tokens_details") or {}
            tokens = (
                _count(usage, "prompt_tokens"),
                _count(usage, "completion_tokens"),
                _count(details, "cached_tokens"),
            )
            return cls(text, finish[:40], *tokens)
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            raise ValueError("The response must be a chat completion, but is not.") from None


def _count(usage: dict, key: str) -> int:
    number = usage.get(key)
    return number if isinstance(number, int) and 0 <= number < 2**40 else 0


def read_answer(completion: Completion, schema: dict[str, Any], check: Callable[[Any], None] | None = None) -> Any:
    """Parses the JSON in a completion; a leading ``<think>`` block and a code fence around it are removed.

    Args:
        completion: The completion.
        schema: JSON Schema of the answer.
        check: A further check, which raises `FaultyInputError`.

    Raises:
        FaultyInputError: If it cannot be used.
        ImportError: If jsonschema is missing.
    """
    if completion.finish == TOO_LARGE:
        raise FaultyInputError("too large", "The answer is too long.")
    if completion.finish == "length":
        raise FaultyInputError("cut off", "The answer is cut off at the limit of tokens.")
    if completion.finish in ("declined", "content_filter"):
        raise FaultyInputError("declined", "The model declines to answer.")
    text = _THOUGHTS.sub("", completion.text)
    fenced = _FENCE.match(text)
    value = _parse(fenced[1] if fenced else text)
    error = _best_error(value, schema)
    if error:
        raise FaultyInputError("not of the schema", f"The answer is not of the schema: {error}.")
    if check:
        check(value)
    return value


def _parse(text: str) -> Any:
    if not text.strip():
        raise FaultyInputError("empty", "The answer is empty.")
    if text.lstrip()[0] not in "{[":
        raise FaultyInputError("prose", "The answer is not JSON: it must be one JSON object and nothing else.")
    with _as_faulty("invalid JSON", "The answer is not valid JSON", ValueError, RecursionError):
        value = json.loads(text, parse_constant=_refuse_constant)
    # Text that cannot be encoded as UTF-8, such as half a surrogate pair, would fail later.
    with _as_faulty("not Unicode", "The answer holds what is not Unicode", ValueError):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


@contextmanager
def _as_faulty(reason: str, text: str, *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise FaultyInputError(reason, f"{text} ({str(error)[:200]}).") from None


def _best_error(value: Any, schema: dict[str, Any]) -> str:
    """Describes in one line how a value violates a JSON Schema; empty if it is valid."""
    jsonschema = require("jsonschema", "A language model", EXTRA)
    error = jsonschema.exceptions.best_match(_validator(json.dumps(schema)).iter_errors(value))
    if error is None:
        return ""
    # The message is shortened, since it repeats the complete value.
    return f"{error.json_path} fails {error.validator!r}, {str(error.message)[:200]}"


@lru_cache(64)
def _validator(schema: str) -> Any:
    jsonschema = require("jsonschema", "A language model", EXTRA)
    loaded = json.loads(schema)
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)
