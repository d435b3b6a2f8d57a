"""A server of chat completions that misbehaves as it is told."""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.helpers.local_server import LocalServer

Behaviour = Callable[["Handler"], None]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        try:
            self.server.owner.choose(body, {key.lower(): value for key, value in self.headers.items()})(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


def completion(content: Any, finish: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def says(content: Any, finish: str = "stop", **message: Any) -> Behaviour:
    """Answers with a text, or with a value as JSON."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    return lambda handler: handler.reply(200, completion(text, finish, **message))


def sends(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """Answers with a body as it is; '_' in the names of headers stands for '-'."""
    return lambda handler: handler.reply(status, body, {key.replace("_", "-"): value for key, value in headers.items()})


def fails(status: int, message: str = "no", **headers: str) -> Behaviour:
    return sends(json.dumps({"error": {"message": message, "code": None}}).encode(), status, **headers)


def sleeps(handler: Handler):
    """Answers nothing until the server is closed."""
    handler.server.owner.closing.wait(60)
    handler.close_connection = True


def drips(handler: Handler):
    """Sends one byte after the other, so that no single wait is long."""
    handler.reply(200, b"{", length=10**6)
    while not handler.server.owner.closing.wait(0.02):
        handler.wfile.write(b" ")
    handler.close_connection = True


def cuts(handler: Handler):
    """Closes in the middle of an answer."""
    whole = completion('{"word": "half"}')
    handler.reply(200, whole[: len(whole) // 2], length=len(whole))
    handler.close_connection = True


def shouts(handler: Handler):
    """Answers what is no HTTP."""
    handler.wfile.write(b"HELLO?\r\n\r\n")
    handler.close_connection = True


def hangs_up(handler: Handler):
    """Closes without a word."""
    handler.close_connection = True


def resets(handler: Handler):
    """Resets the connection in the middle of an answer."""
    whole = completion('{"word": "half"}')
    handler.reply(200, whole[: len(whole) // 2], length=len(whole))
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


class Server(LocalServer):
    """Serves ``/v1/chat/completions`` on a free port until the block ends.

    Args:
        script: What to do with the first requests.
        then: What to do with the others: a behaviour, or a function from the request's body to one.
    """

    handler = Handler

    def __init__(self, script: Iterable[Behaviour] = (), then: Callable[[dict], Behaviour] | None = None):
        self._script, self._then, self._lock = iter(script), then, threading.Lock()
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()

    def choose(self, body: dict, headers: dict[str, str]) -> Behaviour:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            behaviour = next(self._script, None)
        return behaviour or self._then(body)

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    def times(self) -> Counter:
        """How often each last message was asked."""
        return Counter(body["messages"][-1]["content"] for body in self.bodies)

    def release(self) -> None:
        self.closing.set()
