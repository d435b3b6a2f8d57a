"""Sends requests to a language model concurrently, with retries, time limits and a cache."""

import asyncio
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sos_mm.backoff import pause
from sos_mm.checks import FaultyInputError, check_choice, check_integer, check_range
from sos_mm.language_model.cache import CompletionCache, completion_key
from sos_mm.language_model.completion import Completion, read_answer
from sos_mm.language_model.endpoint import Endpoint, EndpointError, RejectedError, TemporaryError, check_base_url
from sos_mm.language_model.request import Answer, LanguageModel, Request
from sos_mm.language_model.usage import Usage
from sos_mm.registry import Registry

RESPONSE_FORMATS = ("json_schema", "json_object", "none")
_LANGUAGE_MODELS: Registry[LanguageModel] = Registry("language_model.type", "key of {type}")
# Decorator that registers a class for `build_language_model` under its name.
register_language_model = _LANGUAGE_MODELS.register
Result = TypeVar("Result")


def build_language_model(config: Mapping[str, Any]) -> LanguageModel:
    """Builds a language model from ``dict(base_url='http://localhost:8000/v1', model='Qwen/QwQ-32B')``.

    Args:
        config: The arguments of `OpenAICompatible`, or ``type`` and those of another registered class.

    Raises:
        ValueError: If the type or a key is unknown, or a value out of its range.
    """
    return _LANGUAGE_MODELS.build({"type": "OpenAICompatible", **config})


@register_language_model
@dataclass(eq=False)
class OpenAICompatible:
    """A model behind an endpoint that speaks OpenAI's chat completions: vLLM, llama.cpp, OpenAI itself, and others.

    A request takes at most ``max_wait`` seconds, including retries and pauses. After that time, or after ``retries``,
    it is refused. If the endpoint was never reached, or after ``max_failures`` consecutive refusals of this kind, the
    run stops with `EndpointError`. Answers received before are in the cache.

    Args:
        base_url: The URL to which ``/chat/completions`` is appended, such as 'http://localhost:8000/v1'.
        model: The endpoint's name of the model.
        key_variable: The environment variable with the API key; it may be unset for an endpoint without keys.
        temperature: Sampling temperature, in [0, 2].
        max_tokens: Longest answer in tokens; None for the endpoint's default.
        seed: Sampling seed, to which the number of re-asks is added; None to send no seed.
        extra: More keys of the request's body, such as ``dict(chat_template_kwargs=dict(enable_thinking=False))``.
        response_format: 'json_schema' makes the endpoint enforce the schema; for endpoints that cannot, 'json_object'
            and 'none' put the schema into the prompt. Answers are checked in any case.
        timeout: Time limit of one HTTP request in seconds.
        retries: Most retries of an HTTP request after a temporary failure: no connection, a lost one, a time-out,
            HTTP 408, 409, 425, 429 and 500 or more.
        first_pause: Seconds before the first retry; doubled each time. A longer Retry-After header is followed.
        max_wait: Time limit of one request in seconds, including retries, pauses and re-asks.
        max_failures: Number of consecutive requests without an answer after which the run stops.
        reasks: Most times that a question is asked again because its answer is not usable.
        max_bytes: Size limit of a response in bytes; larger ones are refused without being read completely.
        concurrency: Most requests that are processed at the same time.
        batch: Number of requests that are taken from the caller at a time.
        cache: Folder of the cache, which several processes may share; None for no cache.

    Attributes:
        usage: Counts of the requests so far.

    Raises:
        ValueError: If an argument is out of its range.
    """

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    temperature: float = 0.1
    max_tokens: int | None = 4096
    seed: int | None = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    response_format: str = "json_schema"
    timeout: float = 120.0
    retries: int = 5
    first_pause: float = 1.0
    max_wait: float = 600.0
    max_failures: int = 5
    reasks: int = 2
    max_bytes: int = 1_000_000
    concurrency: int = 8
    batch: int = 64
    cache: str | Path | None = None
    usage: Usage = field(default_factory=Usage, init=False)

    def __post_init__(self):
        check_base_url(self.base_url)
        for name in ("model", "key_variable"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ValueError(f"`{name}` must be a text, but got {value!r}.")
        check_choice("response_format", self.response_format, RESPONSE_FORMATS)
        check_range("temperature", self.temperature, 0, 2)
        for name in ("timeout", "max_wait"):
            check_range(name, getattr(self, name), 0.001, 86400)
        check_range("first_pause", self.first_pause, 0, 3600)
        for name, low, high in (
            ("max_tokens", 1, 10**7),
            ("seed", 0, 2**62),
            ("retries", 0, 1000),
            ("max_failures", 1, 10**6),
            ("reasks", 0, 100),
            ("max_bytes", 1000, 10**9),
            ("concurrency", 1, 10_000),
            ("batch", 1, 10**6),
        ):
            if getattr(self, name) is not None or name not in ("max_tokens", "seed"):
                check_integer(name, getattr(self, name), low, high)
        try:
            json.dumps(dict(self.extra))
        except (TypeError, ValueError) as error:
            raise ValueError(f"`extra` must be a dict of JSON values, but got {self.extra!r} ({error}).") from error
        self._cache = None if self.cache is None else CompletionCache(self.cache)
        self._reached, self._failures = False, 0

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yields the answers to requests, in order; a request without a usable answer is refused and counted.

        Raises:
            EndpointError: If the endpoint cannot be reached, refuses access, or does not know the model.
            ImportError: If openai or jsonschema is missing.
            OSError: If the cache cannot be written.
        """
        remaining = iter(requests)
        while batch := list(islice(remaining, self.batch)):
            yield from _run(self._ask_batch(batch))

    async def _ask_batch(self, batch: list[Request]) -> list[Answer]:
        async with Endpoint(self.base_url, self.key_variable, self.timeout, self.max_bytes) as endpoint:
            run = _Batch(self, endpoint)
            tasks = [asyncio.ensure_future(run.ask(request)) for request in batch]
            try:
                return await asyncio.gather(*tasks)
            finally:
                # The unfinished tasks, if one has stopped the run.
                await _cancel([*tasks, *run.under_way.values()])

    def question(self, request: Request, ask: int, complaint: str) -> dict[str, Any]:
        """Builds the arguments of ``chat.completions.create`` for a request.

        Args:
            request: The request.
            ask: Number of earlier attempts whose answer was not usable.
            complaint: What was wrong with the previous answer; empty at the first attempt.
        """
        *before, last = request.messages
        content = last["content"]
        if self.response_format != "json_schema":
            content += f"\n\nAnswer with one JSON object of this JSON Schema and nothing else:\n{request.schema_text}"
        if complaint:
            content += f"\n\nAn earlier answer was refused: {complaint} Answer again."
        question = {
            "model": self.model,
            "messages": [*before, {**last, "content": content}],
            "temperature": self.temperature,
        }
        if self.response_format == "json_schema":
            form = {"name": request.name, "schema": request.schema, "strict": True}
            question["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self.response_format == "json_object":
            question["response_format"] = {"type": "json_object"}
        if self.max_tokens is not None:
            question["max_tokens"] = self.max_tokens
        if self.seed is not None:
            question["seed"] = self.seed + ask
        if self.extra:
            question["extra_body"] = dict(self.extra)
        return question

    def answered(self) -> None:
        """Records that the endpoint has answered."""
        self._reached, self._failures = True, 0

    def failed(self, reason: str, rejected: bool = False) -> None:
        """Records that a request got no answer, or was rejected.

        Raises:
            EndpointError: If ``max_failures`` is reached, or if the endpoint has never answered.
        """
        self._failures += 1
        if self._failures >= self.max_failures or not (rejected or self._reached):
            raise EndpointError(
                f"{self.base_url} gives no answers ({reason}): see that the endpoint runs and that `base_url`, "
                "`response_format`, `timeout` and `max_wait` suit it, then run again; with a `cache` what was answered "
                "is not asked again."
            )


class _Batch:
    """Requests that are under way together.

    Args:
        client: Whose requests they are.
        endpoint: Where they go.

    Attributes:
        under_way: What is being fetched, by key.
    """

    def __init__(self, client: OpenAICompatible, endpoint: Endpoint):
        self._client, self._endpoint, self._cache = client, endpoint, client._cache
        self._slots = asyncio.Semaphore(client.concurrency)
        self.under_way: dict[str, asyncio.Future[Completion]] = {}

    async def ask(self, request: Request) -> Answer:
        """Sends a request until its answer is usable, at most ``reasks + 1`` times."""
        client, usage = self._client, self._client.usage
        usage.requests += 1
        fault = FaultyInputError("not asked", "")
        async with self._slots:
            deadline = _now() + client.max_wait
            for ask in range(client.reasks + 1):
                try:
                    completion = await self._complete(client.question(request, ask, str(fault)), deadline)
                except RejectedError as error:
                    fault = error
                    break
                try:
                    value = read_answer(completion, request.schema, request.check)
                except FaultyInputError as error:
                    usage.faulty[error.reason] += 1
                    fault = error
                else:
                    usage.answered += 1
                    return Answer(value)
        usage.refusals[fault.reason] += 1
        return Answer(None, fault.reason, str(fault))

    async def _complete(self, question: dict[str, Any], deadline: float) -> Completion:
        """Gets a completion from the cache, from an equal question in progress, or from the endpoint."""
        key = completion_key(question, self._client.max_bytes)
        stored = self._cache and self._cache.read(key)
        if not stored and key in self.under_way:
            stored = await self.under_way[key]
        if stored:
            self._client.usage.count(stored, from_cache=True)
            return stored
        fetching = self.under_way[key] = asyncio.ensure_future(self._fetch(key, question, deadline))
        return await fetching

    async def _fetch(self, key: str, question: dict[str, Any], deadline: float) -> Completion:
        """Gets a completion from the endpoint, unless another process has stored it meanwhile."""
        if self._cache is None:
            return await self._send(key, question, deadline)
        if not await self._cache.lock(key, deadline - _now()):
            raise RejectedError("asked by another process", "Another process asks the same and has no answer yet.")
        try:
            if stored := self._cache.read(key):
                self._client.usage.count(stored, from_cache=True)
                return stored
            completion = await self._send(key, question, deadline)
            self._cache.write(key, completion)
            return completion
        finally:
            self._cache.unlock(key)

    async def _send(self, key: str, question: dict[str, Any], deadline: float) -> Completion:
        """Sends a question until it is answered, at most ``retries + 1`` times and until the deadline."""
        client = self._client
        for retry in range(client.retries + 1):
            client.usage.sent += 1
            try:
                completion = await self._endpoint.send(question, max(deadline - _now(), 0.001))
            except TemporaryError as error:
                failure = error
            except RejectedError as error:
                client.failed(str(error), rejected=True)
                raise
            else:
                client.answered()
                client.usage.count(completion, from_cache=False)
                return completion
            wait = max(pause(client.first_pause, retry, key), failure.wait)
            if retry == client.retries or _now() + wait >= deadline:
                break
            client.usage.retries[failure.reason] += 1
            await asyncio.sleep(wait)
        client.failed(failure.reason)
        raise RejectedError(failure.reason, f"The request got no answer: {failure.reason}.")


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _cancel(tasks: list[asyncio.Future]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine to its end; in a separate thread if an event loop is running, as in a notebook."""
    if not _in_event_loop():
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
