"""What was answered is never asked twice: after kill -9, by several processes, whatever else becomes of the cache."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path

import pytest

from sos_mm.language_model import EndpointError
from sos_mm.language_model.cache import CompletionCache, completion_key
from sos_mm.language_model.completion import Completion
from tests.language_model.client import GOOD, ask, model
from tests.language_model.conftest import KEY
from tests.language_model.server import Server, fails, says

pytest.importorskip("openai")
pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]


def start(url: str, cache: Path, number: int, concurrency: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.language_model.client", url, cache, number, concurrency]
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def trace(caught: pytest.ExceptionInfo) -> str:
    """What Python prints of an error that nobody catches."""
    return "".join(traceback.format_exception(caught.value))


class Killer:
    """Answers questions, and kills a process when so many were answered and one more is asked."""

    def __init__(self):
        self.answered: Counter[str] = Counter()
        self.lock, self.limit, self.victim = threading.Lock(), 0, 0

    def __call__(self, body):
        def behave(handler):
            text = body["messages"][-1]["content"]
            with self.lock:
                if self.victim and self.answered.total() >= self.limit:
                    os.kill(self.victim, signal.SIGKILL)
                    handler.close_connection = True
                    return
                self.answered[text] += 1
                says({"word": text})(handler)

        return behave


@pytest.mark.parametrize("concurrency", [1, 4])
def test_killed_and_resumed(concurrency, tmp_path):
    killer = Killer()
    with Server(then=killer) as server:
        for limit in (1, 8):
            # Nothing is answered before the process is known.
            with killer.lock:
                process = start(server.url, tmp_path, 20, concurrency)
                killer.limit, killer.victim = limit, process.pid
            process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL
            with killer.lock:
                killer.victim = 0
        words = finish(start(server.url, tmp_path, 20, concurrency))["words"]
        assert words == [f"question {index}" for index in range(20)]
        # An answer can be lost between the endpoint and the disk: no more than were under way, of each kill.
        assert killer.answered.total() - 20 <= 2 * (concurrency - 1)
    again = model("http://127.0.0.1:9/v1", cache=tmp_path)
    assert [answer.value["word"] for answer in ask(again, *words)] == words
    assert (again.usage.from_cache, again.usage.sent) == (20, 0)


def test_two_processes_share_a_cache(tmp_path):
    with Server(then=lambda body: says({"word": body["messages"][-1]["content"]})) as server:
        processes = [start(server.url, tmp_path, 60, 4) for _ in range(2)]
        results = [finish(process) for process in processes]
        assert set(server.times().values()) == {1}
        assert len(server.bodies) == 60
    assert results[0]["words"] == results[1]["words"] == [f"question {index}" for index in range(60)]
    assert sum(result["usage"]["sent"] for result in results) == 60
    assert sum(result["usage"]["from_cache"] for result in results) == 60


def test_a_process_waits_for_another_that_asks_the_same(tmp_path):
    """And takes over where the other ends without an answer."""
    asked, killed = threading.Event(), threading.Event()

    def hangs(handler):
        asked.set()
        killed.wait(60)
        handler.close_connection = True

    with Server([hangs], then=lambda body: GOOD) as server:
        first = start(server.url, tmp_path, 1, 1)
        assert asked.wait(60)
        waiting = model(server.url, cache=tmp_path, max_wait=0.2)
        assert ask(waiting, "question 0")[0].reason == "asked by another process"
        assert len(server.bodies) == 1
        first.kill()
        first.communicate(timeout=60)
        killed.set()
        assert ask(model(server.url, cache=tmp_path), "question 0")[0].value == {"word": "good"}
    assert len(server.bodies) == 2


def test_equal_questions_at_the_same_time_are_asked_once(tmp_path):
    for cache in (None, tmp_path):
        with Server(then=lambda body: GOOD) as server:
            client = model(server.url, cache=cache)
            assert len(ask(client, *["same"] * 20)) == 20
        assert len(server.bodies) == client.usage.sent == 1
        assert (client.usage.from_cache, client.usage.saved_tokens) == (19, 19 * 110)


def test_faulty_answers_are_remembered_too(tmp_path):
    with Server([says("prose"), GOOD]) as server:
        assert ask(model(server.url, cache=tmp_path))[0].value == {"word": "good"}
    with Server() as server:
        client = model(server.url, cache=tmp_path)
        assert ask(client)[0].value == {"word": "good"}
    assert server.bodies == []
    assert client.usage.to_dict()["faulty"] == {"prose": 1}


def test_failures_are_not_remembered(tmp_path):
    with Server([fails(500)] * 3) as server, pytest.raises(EndpointError):
        ask(model(server.url, cache=tmp_path))
    with Server([GOOD]) as server:
        assert ask(model(server.url, cache=tmp_path))[0].value == {"word": "good"}


DAMAGES = [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"text": 5}', b'{"words": "a"}', b"\xff\xfe", b"\0" * 50]


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_file_is_asked_again(damage, tmp_path):
    with Server([GOOD, GOOD]) as server:
        ask(model(server.url, cache=tmp_path))
        (path,) = tmp_path.rglob("*.json")
        whole = path.read_bytes()
        path.write_bytes(damage)
        assert ask(model(server.url, cache=tmp_path))[0].value == {"word": "good"}
        assert len(server.bodies) == 2
        assert path.read_bytes() == whole
        # What a killed process leaves behind is no answer.
        path.rename(path.with_name(f".{path.name}.part-1"))
    assert CompletionCache(tmp_path).read(path.stem) is None


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"temperature": 0.2},
        {"max_tokens": 5},
        {"seed": 1},
        {"seed": None},
        {"extra": {"top_p": 0.5}},
        {"response_format": "json_object"},
        {"max_bytes": 30_000},
    ],
)
def test_what_the_answer_depends_on_is_in_the_key(change, tmp_path):
    with Server([GOOD, GOOD]) as server:
        ask(model(server.url, cache=tmp_path))
        ask(model(server.url, cache=tmp_path, **change))
        assert len(server.bodies) == 2
        # And nothing else is.
        ask(model("http://127.0.0.1:9/v1", cache=tmp_path, retries=9, concurrency=2, **change))


def test_keys_stay_as_they_are():
    """Another key would have all that was paid for asked again."""
    key = completion_key({"model": "m", "messages": [{"role": "user", "content": "Größe?"}]}, 1000)
    assert key == "cb0097734f844e8b09e730945900ae0783ef28265af75f0dbcd4610bc3fcdaaa"


def test_a_cache_that_cannot_be_written_stops_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="cache of the language model"):
        model("http://127.0.0.1:9/v1", cache=tmp_path / "file")


def test_a_full_disk_stops_the_run(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("sos_mm.language_model.cache.write_atomic", full)
    with Server(then=lambda body: GOOD) as server, pytest.raises(OSError, match="No space left"):
        ask(model(server.url, cache=tmp_path, concurrency=2), *map(str, range(20)))
    assert len(server.bodies) <= 4


def test_no_openai_is_needed_for_what_is_in_the_cache(tmp_path, monkeypatch):
    with Server([GOOD]) as server:
        ask(model(server.url, cache=tmp_path))
    monkeypatch.setitem(sys.modules, "openai", None)
    assert ask(model(server.url, cache=tmp_path))[0].value == {"word": "good"}
    with pytest.raises(ImportError, match=r"A language model needs `openai`.*sos_mm\[language-model\]"):
        ask(model(server.url, cache=tmp_path), "something else")


def test_secrets_are_nowhere(tmp_path, caplog):
    """Also where the endpoint repeats the key."""
    caplog.set_level(0)
    script = [
        says({"word": f"your key is {KEY}"}),
        says(f"prose with {KEY}"),
        says({KEY: KEY}),
        fails(400, f"what is {KEY}?"),
        fails(401, f"Incorrect API key provided: {KEY}"),
    ]
    texts = []
    with Server(script) as server:
        client = model(server.url, cache=tmp_path, concurrency=1)
        texts += [repr(answer) for answer in ask(client, "a", "b")]
        with pytest.raises(EndpointError) as caught:
            ask(client, "c", "d")
        assert all(headers["authorization"] == f"Bearer {KEY}" for headers in server.headers)
    texts += [trace(caught), json.dumps(client.usage.to_dict()), caplog.text]
    texts += [repr(client), str(caught.value)]
    assert len(server.bodies) == 5
    assert "your key is ***" in texts[0]
    assert not [text for text in texts if KEY in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not [path for path in files if KEY.encode() in path.read_bytes() or KEY in path.name]


def test_the_variable_of_the_key_can_be_named(monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "another")
    with Server([GOOD, GOOD, fails(401)]) as server:
        ask(model(server.url, key_variable="OTHER_KEY"))
        monkeypatch.delenv("OTHER_KEY")
        ask(model(server.url, key_variable="OTHER_KEY"))
        with pytest.raises(EndpointError, match="set the environment variable OTHER_KEY"):
            ask(model(server.url, key_variable="OTHER_KEY"))
    assert [headers["authorization"] for headers in server.headers[:2]] == ["Bearer another", "Bearer none"]


@pytest.mark.parametrize("key", ["sk-Ünicode", "sk-with space", "sk-two\nlines"])
def test_a_key_that_no_header_can_hold_is_not_shown(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match="OPENAI_API_KEY must be of printable ASCII") as caught:
        ask(model("http://127.0.0.1:9/v1"))
    assert key not in trace(caught)


def test_a_completion_knows_its_types():
    with pytest.raises(TypeError, match="`text` must be a text, but got int"):
        Completion(5)
