"""Sends one HTTP request to an OpenAI-compatible endpoint; an error's class says whether a retry may help."""

import asyncio
import json
import os
from importlib import import_module
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from sos_mm.backoff import retry_after
from sos_mm.checks import FaultyInputError, require
from sos_mm.language_model.completion import EXTRA, TOO_LARGE, Completion

# HTTP statuses after which a retry may succeed: time-out, conflict, too early, too many requests; also 500 and above.
_TEMPORARY = (408, 409, 425, 429)
# HTTP statuses that concern this request only, such as for a prompt that is too long.
_OF_THE_REQUEST = (400, 413, 422)
_ERROR_BYTES = 20_000


class EndpointError(RuntimeError):
    """No request can be answered until the cause is fixed outside this program; the message says how."""


class TemporaryError(Exception):
    """A request that failed and may succeed when it is sent again.

    Args:
        reason: The cause, in a few words.
        wait: Seconds to wait, as the endpoint requests.
    """

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class RejectedError(FaultyInputError):
    """A request that the endpoint rejects, or does not answer after all retries."""


class _StatusError(Exception):
    """A response of status 400 or more."""

    def __init__(self, status: int, headers: dict[str, str], text: str):
        super().__init__(status)
        self.status, self.headers, self.text = status, headers, text


def check_base_url(url: str) -> None:
    """Raises ValueError unless it is an http(s) address without a password or a query in it."""
    try:
        parts = urlsplit(url)
        secret = parts.username or parts.password or parts.query
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"`base_url` must be such as 'http://localhost:8000/v1', but got {url!r}.") from None
    if secret:
        raise ValueError("`base_url` must hold no user, password or query: put the key into an environment variable.")
    if not usable:
        raise ValueError(f"`base_url` must be such as 'http://localhost:8000/v1', but got {url!r}.")


def _is_host(name: str | None) -> bool:
    """Returns whether a host name is valid; raises UnicodeError, a ValueError, for some invalid ones."""
    return name is not None and b" " not in name.encode("idna")


def read_key(variable: str) -> str:
    """Reads the API key from an environment variable; empty if it is not set.

    Raises:
        ValueError: If the key cannot be sent in a header; the message does not contain the key.
    """
    key = os.environ.get(variable, "").strip()
    if not all("!" <= letter <= "~" for letter in key):
        raise ValueError(f"The key in the environment variable {variable} must be of printable ASCII letters.")
    return key


class Endpoint:
    """Sends questions over connections that it keeps open; use it as an asynchronous context manager.

    The client is made at the first question, so that answers from a cache need no openai package.

    Args:
        base_url: The URL to which ``/chat/completions`` is appended.
        key_variable: The environment variable with the API key.
        timeout: Time limit of one HTTP request in seconds.
        max_bytes: Size limit of a response in bytes; reading stops there.
    """

    def __init__(self, base_url: str, key_variable: str, timeout: float, max_bytes: int):
        self._base_url, self._key_variable = base_url, key_variable
        self._timeout, self._max_bytes = timeout, max_bytes
        self._client: Any = None
        self._key = ""

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._client:
            await self._client.close()

    async def send(self, question: dict[str, Any], timeout: float) -> Completion:
        """Sends one question once.

        Args:
            question: The arguments of ``chat.completions.create``.
            timeout: Time limit in seconds; the endpoint's own one if that is shorter.

        Raises:
            TemporaryError: If a retry may succeed.
            RejectedError: If the endpoint rejects this question.
            EndpointError: If every question would fail.
            ImportError: If openai is missing.
        """
        openai = require("openai", "A language model", EXTRA)
        if self._client is None:
            self._client = self._new_client(openai)
        try:
            body = await asyncio.wait_for(self._body(question), min(timeout, self._timeout))
        # `from None`: exceptions of openai and the HTTP library contain the request, and so the key.
        except (asyncio.TimeoutError, openai.APITimeoutError):
            raise TemporaryError("timed out") from None
        except (_StatusError, openai.APIConnectionError) as error:
            status = error if isinstance(error, _StatusError) else error.__cause__
            if isinstance(status, _StatusError):
                raise self._status_error(status) from None
            raise TemporaryError("no connection") from None
        except openai.APIStatusError as error:
            # The hook has caught the others; this is a redirection without a target.
            raise self._status_error(_StatusError(error.status_code, {}, "")) from None
        except _transport_errors(openai):
            raise TemporaryError("connection lost") from None
        if len(body) > self._max_bytes:
            return Completion("", TOO_LARGE)
        try:
            completion = Completion.from_body(body)
        except ValueError:
            raise TemporaryError("no chat completion") from None
        return Completion(**{**vars(completion), "text": self._without_key(completion.text)})

    def _new_client(self, openai: Any) -> Any:
        self._key = read_key(self._key_variable)
        http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [_refuse_errors]}, timeout=self._timeout)
        # Uncompressed, so that `max_bytes` limits the memory used; the package requires some key.
        return openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=self._timeout,
            http_client=http,
            default_headers={"Accept-Encoding": "identity"},
        )

    async def _body(self, question: dict[str, Any]) -> bytes:
        """Reads the response's body; of one larger than ``max_bytes``, slightly more than that."""
        create = self._client.chat.completions.with_streaming_response.create
        async with create(**question) as response:
            return await _read(response.iter_bytes(), self._max_bytes)

    def _status_error(self, error: _StatusError) -> Exception:
        said = f"HTTP {error.status}: {self._without_key(error.text)}"
        if error.status in (401, 403):
            # Without the endpoint's message, which may contain a part of the key.
            return EndpointError(
                f"{self._base_url} refuses access (HTTP {error.status}): set the environment variable "
                f"{self._key_variable} to a key that it accepts."
            )
        if error.status == 404:
            return EndpointError(
                f"{self._base_url} does not know the model or the path ({said}): `model` must be one that "
                f"{self._base_url.rstrip('/')}/models lists, and `base_url` mostly ends with /v1."
            )
        if error.status in _OF_THE_REQUEST:
            return RejectedError(f"HTTP {error.status}", f"The endpoint rejects the request ({said}).")
        if error.status >= 500 or (error.status in _TEMPORARY and "insufficient_quota" not in error.text):
            return TemporaryError(f"HTTP {error.status}", retry_after(error.headers.get("retry-after")))
        return EndpointError(f"{self._base_url} refuses the request ({said}): correct what it names, then run again.")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


async def _refuse_errors(response: Any) -> None:
    """Raises an error for a status of 400 or more; a hook, since openai reads error bodies without a size limit."""
    if response.status_code >= 400:
        text = (await _read(response.aiter_bytes(), _ERROR_BYTES)).decode(errors="replace")
        await response.aclose()
        raise _StatusError(response.status_code, dict(response.headers), _message(text))


def _message(text: str) -> str:
    """Extracts ``error.message`` from an error's body, or takes the body, as one short line."""
    try:
        error = json.loads(text)["error"]
        text = f"{error['message']} {error.get('code') or ''}" if isinstance(error, dict) else str(error)
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return " ".join(text.split())[:300]


async def _read(chunks: Any, limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def _transport_errors(openai: Any) -> tuple[type[BaseException], ...]:
    """Returns the exceptions of openai's HTTP library, which a body that ends early raises unwrapped."""
    library = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])
    return (OSError, library.HTTPError, library.StreamError)
