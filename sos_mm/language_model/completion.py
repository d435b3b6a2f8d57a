"""What an endpoint answers: the body of a chat completion, read with mistrust, and the JSON inside it."""

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
        text: What it says; empty if nothing.
        finish: Why it ends: 'stop', 'length', another word of the endpoint's, or `TOO_LARGE`.
        prompt_tokens: As the endpoint counts them; 0 if it does not.
        completion_tokens: The same of the answer.
        cached_tokens: Those of ``prompt_tokens`` that the endpoint had in its cache.
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
            ValueError: If it is not that of a chat completion.
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
    """Reads the JSON in a completion; thoughts in ``<think>`` before it, and a fence around it, are taken off.

    Args:
        completion: What the endpoint answered.
        schema: What the answer must fulfil.
        check: What it must fulfil beyond that.

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
    # What cannot be written as UTF-8, such as half a surrogate pair, would fail later.
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
    """What is wrong with a value, in one line; empty if nothing is."""
    jsonschema = require("jsonschema", "A language model", EXTRA)
    error = jsonschema.exceptions.best_match(_validator(json.dumps(schema)).iter_errors(value))
    if error is None:
        return ""
    # Not the message alone, which repeats the whole value where that is long.
    return f"{error.json_path} fails {error.validator!r}, {str(error.message)[:200]}"


@lru_cache(64)
def _validator(schema: str) -> Any:
    jsonschema = require("jsonschema", "A language model", EXTRA)
    loaded = json.loads(schema)
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)
