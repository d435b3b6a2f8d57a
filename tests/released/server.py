"""A server that speaks the protocol of the Hugging Face hub for small data sets, and misbehaves as it is told."""

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.helpers.local_server import LocalServer

Behaviour = Callable[["Handler", bytes], None]
_LARGE = re.compile(r".*\.(parquet|7z|7z\.\d+|png)")
_API = re.compile(r"/api/datasets/(?P<repository>[^/]+/[^/]+?)(?:/revision/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/datasets/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_BLOCK = 4096


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    """A data set: its files, the data of its card, and the commit, which depends on both."""

    def __init__(self, files: dict[str, bytes], card: dict[str, Any] | None = None):
        self.files, self.card = dict(files), card
        listed = json.dumps([[path, sha256(content)] for path, content in sorted(self.files.items())])
        self.commit = hashlib.sha1(listed.encode()).hexdigest()
        self.earlier: dict[str, Repository] = {}

    def at(self, revision: str | None) -> "Repository | None":
        """The data set at a revision: the main branch, or a commit."""
        return self if revision in (None, "main", self.commit) else self.earlier.get(revision)

    def siblings(self) -> list[dict[str, Any]]:
        listed = []
        for path, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_blob(content)}
            if _LARGE.fullmatch(path):
                entry["lfs"] = {"size": len(content), "sha256": sha256(content), "pointerSize": 134}
            listed.append(entry)
        return listed


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._handle()

    def do_HEAD(self):
        self._handle()

    def _handle(self):
        hub: Hub = self.server.owner
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        behaviour = hub.take(self.command, path)
        try:
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}" and not path.startswith("/cdn"):
                self.fail(401, "Invalid credentials in Authorization header")
            elif behaviour is not None and not path.startswith("/cdn"):
                behaviour(self, b"")
            else:
                self._answer(hub, path, behaviour)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, hub: "Hub", path: str, behaviour: Behaviour | None):
        if found := _API.fullmatch(path):
            self._listing(hub, found["repository"], found["revision"])
        elif found := _FILE.fullmatch(path):
            self._resolve(hub, found["repository"], found["revision"], found["path"])
        elif path.startswith("/cdn/"):
            content = hub.contents()[path.rpartition("/")[2]]
            (behaviour or sends)(self, content)
        else:
            self.fail(404, "no such page")

    def _listing(self, hub: "Hub", name: str, revision: str | None):
        repository = hub.repositories.get(name)
        if repository is None:
            self.fail(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        elif repository.at(revision) is None:
            self.fail(404, "Invalid rev id", {"X-Error-Code": "RevisionNotFound"})
        else:
            repository = repository.at(revision)
            told = {"_id": "1", "id": name, "sha": repository.commit, "private": False, "tags": [], "downloads": 0}
            told |= {"siblings": repository.siblings(), "cardData": repository.card}
            self.reply(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _resolve(self, hub: "Hub", name: str, revision: str, path: str):
        repository = hub.repositories.get(name)
        if repository is None:
            self.fail(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        elif repository.at(revision) is None or path not in repository.at(revision).files:
            self.fail(404, "Entry not found", {"X-Error-Code": "EntryNotFound"})
        else:
            repository = repository.at(revision)
            content = repository.files[path]
            headers = {"X-Repo-Commit": repository.commit}
            if _LARGE.fullmatch(path):
                digest = sha256(content)
                headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
                self.reply(302, b"", headers | {"Location": f"{hub.url}/cdn/{path}/{digest}"})
            else:
                self.reply(200, content, headers | {"ETag": f'"{git_blob(content)}"'})

    def fail(self, status: int, message: str, headers: dict[str, str] | None = None):
        body = json.dumps({"error": message}).encode()
        self.reply(status, body, {"X-Error-Message": message, **(headers or {})})

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.stream(body)

    def stream(self, body: bytes):
        """Sends in blocks, and waits where the hub is told to; ends if the client was killed meanwhile."""
        run = self.server.owner.run
        for start in range(0, len(body), _BLOCK):
            self.server.owner.pass_gate()
            if self.server.owner.run != run:
                raise ConnectionResetError
            self.wfile.write(body[start : start + _BLOCK])
            self.wfile.flush()
            self.server.owner.count(self.path, len(body[start : start + _BLOCK]))

    def part_of(self, content: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for the range that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found is None:
            return 200, content, {}
        start = int(found[1])
        if start >= len(content):
            return 416, b"", {"Content-Range": f"bytes */{len(content)}"}
        return 206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}

    def log_message(self, *_):
        pass


def sends(handler: Handler, content: bytes):
    """Sends a file, or the range of it that is asked for."""
    status, body, headers = handler.part_of(content)
    handler.reply(status, body, headers)


def fails(status: int, **headers: str) -> Behaviour:
    """Answers with a status; '_' in the names of headers stands for '-'."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler, _: handler.fail(status, "no", named)


def cuts(share: float) -> Behaviour:
    """Sends a share of what is asked for, and closes."""

    def cut(handler: Handler, content: bytes):
        status, body, headers = handler.part_of(content)
        handler.reply(status, body[: int(len(body) * share)], headers, length=len(body))
        handler.close_connection = True

    return cut


def resets(handler: Handler, content: bytes):
    """Resets the connection after half of what is asked for."""
    status, body, headers = handler.part_of(content)
    handler.reply(status, body[: len(body) // 2], headers, length=len(body))
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hangs_up(handler: Handler, _: bytes):
    """Closes without a word."""
    handler.close_connection = True


def damages(handler: Handler, content: bytes):
    """Sends as many bytes as are asked for, one of them another."""
    status, body, headers = handler.part_of(content)
    middle = len(body) // 2
    handler.reply(status, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :], headers)


class Hub(LocalServer):
    """Serves data sets on a free port until the block ends.

    Args:
        repositories: Data sets by ``owner/name``.
        token: The token that requests must have, if any.
    """

    handler = Handler

    def __init__(self, repositories: dict[str, Repository], token: str | None = None):
        self.repositories, self.token = repositories, token
        self.requests: list[tuple[str, str, str | None]] = []
        self._scripts: list[tuple[str, re.Pattern, list[Behaviour]]] = []
        self._lock, self._sent, self._gate = threading.Lock(), 0, None
        self.reached, self._opened = threading.Event(), threading.Event()
        self._opened.set()
        self._counted, self.run = re.compile(""), 0

    @property
    def url(self) -> str:
        return self.address

    def contents(self) -> dict[str, bytes]:
        sets = [each for main in self.repositories.values() for each in (main, *main.earlier.values())]
        return {sha256(data): data for each in sets for data in each.files.values()}

    def script(self, method: str, pattern: str, behaviours: Iterable[Behaviour]) -> None:
        """What to do with the next requests of a method whose paths match a pattern."""
        self._scripts.append((method, re.compile(pattern), list(behaviours)))

    def take(self, method: str, path: str) -> Behaviour | None:
        with self._lock:
            for each, pattern, behaviours in self._scripts:
                if each == method and behaviours and pattern.search(path):
                    return behaviours.pop(0)
        return None

    def downloads(self, pattern: str) -> list[tuple[str, str | None]]:
        """Paths and ranges of the requests for contents whose paths match."""
        return [
            (path, range)
            for method, path, range in self.requests
            if method == "GET" and path.startswith("/cdn/") and re.search(pattern, path)
        ]

    def stop_after(self, number: int, pattern: str = "") -> None:
        """Lets so many further bytes through, of paths that match; then sets `reached`, and waits for `go_on`."""
        with self._lock:
            self._sent, self._gate, self._counted = 0, number, re.compile(pattern)
            self.reached.clear()
            self._opened.set()

    def go_on(self, killed: bool = False) -> None:
        """Lets all bytes through; those for a client that was killed are no longer sent."""
        self.run += killed
        self._gate = None
        self._opened.set()

    def count(self, path: str, number: int) -> None:
        with self._lock:
            self._sent += number if self._counted.search(path) else 0
            if self._gate is not None and self._sent >= self._gate:
                self._opened.clear()
                self.reached.set()

    def pass_gate(self) -> None:
        self._opened.wait(60)

    def release(self) -> None:
        self.go_on()
