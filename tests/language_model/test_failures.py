"""Endpoints that are down, slow, cut off, rate-limiting or talking nonsense: each ends, bounded and with its reason."""

import asyncio
import gzip
import json
import socket
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from sos_mm.backoff import pause, retry_after
from sos_mm.language_model import EndpointError
from sos_mm.language_model.endpoint import Endpoint
from tests.language_model.client import GOOD, SCHEMA, ask, model, request
from tests.language_model.server import (
    Server,
    completion,
    cuts,
    drips,
    fails,
    hangs_up,
    resets,
    says,
    sends,
    shouts,
    sleeps,
)

pytest.importorskip("openai")
pytest.importorskip("jsonschema")


def test_an_answer_comes_back_and_is_counted():
    with Server([GOOD]) as server:
        client = model(server.url, seed=7)
        assert [answer.value for answer in ask(client)] == [{"word": "good"}]
    body = server.bodies[0]
    assert body["messages"] == [{"role": "user", "content": "Say a word."}]
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == ("m", 0.1, 4096, 7)
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}
    assert server.headers[0]["authorization"] == "Bearer sk-secret-of-the-tests"
    expected = dict(requests=1, answered=1, refusals={}, sent=1, retries={}, faulty={}, from_cache=0, saved_tokens=0)
    assert client.usage.to_dict() == {**expected, "prompt_tokens": 100, "completion_tokens": 10, "cached_tokens": 40}
    json.dumps(client.usage.to_dict())


PASSING = {
    "connection closed mid-answer": (cuts, "connection lost"),
    "connection reset mid-answer": (resets, "connection lost"),
    "rate limit": (fails(429), "HTTP 429"),
    "rate limit with Retry-After": (fails(429, Retry_After="0.01"), "HTTP 429"),
    "rate limit with a date that is over": (fails(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), "HTTP 429"),
    "rate limit with nonsense": (fails(429, Retry_After="soon"), "HTTP 429"),
    "request time-out": (fails(408), "HTTP 408"),
    "server error": (fails(500), "HTTP 500"),
    "server error of 10 MB": (sends(b"x" * 10_000_000, 503), "HTTP 503"),
    "overloaded": (fails(503), "HTTP 503"),
    "a page of a proxy": (sends(b"<html>Hello</html>"), "no chat completion"),
    "no choices": (sends(b'{"choices": []}'), "no chat completion"),
    "no HTTP": (shouts, "no connection"),
    "no answer at all": (hangs_up, "no connection"),
    "gzip that is none": (sends(b'{"choices": []}', Content_Encoding="gzip"), "connection lost"),
    "a list": (sends(b"[]"), "no chat completion"),
    "nothing": (sends(b""), "no chat completion"),
    "choices of another type": (sends(b'{"choices": {"a": 1}}'), "no chat completion"),
    "brackets without end": (sends(b"[" * 15_000), "no chat completion"),
    "content of another type": (sends(b'{"choices": [{"message": {"content": [1]}}]}'), "no chat completion"),
}
SLOW = {"slower than the time-out": sleeps, "one byte after the other": drips}


@pytest.mark.parametrize(("behaviour", "reason"), PASSING.values(), ids=PASSING)
def test_what_may_pass_is_sent_again(behaviour, reason):
    with Server([behaviour, behaviour, GOOD]) as server:
        client = model(server.url)
        assert [answer.value for answer in ask(client)] == [{"word": "good"}]
    assert client.usage.to_dict()["retries"] == {reason: 2}
    assert client.usage.sent == len(server.bodies) == 3
    assert len({json.dumps(body) for body in server.bodies}) == 1


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
def test_what_takes_too_long_is_sent_again(behaviour, monkeypatch):
    """The time-out is short as long as nothing is to come within it."""
    send, limits = Endpoint.send, [0.1, 0.1, 20.0]
    monkeypatch.setattr(Endpoint, "send", lambda self, question, _: send(self, question, limits.pop(0)))
    with Server(then=lambda body: behaviour if limits else GOOD) as server:
        client = model(server.url)
        assert [answer.value for answer in ask(client)] == [{"word": "good"}]
    assert client.usage.to_dict()["retries"] == {"timed out": 2}
    assert client.usage.sent == 3


NEVER_PASSING = PASSING | {name: (behaviour, "timed out") for name, behaviour in SLOW.items()}


@pytest.mark.parametrize(("behaviour", "reason"), NEVER_PASSING.values(), ids=NEVER_PASSING)
def test_what_does_not_pass_stops_the_run_in_the_end(behaviour, reason):
    with Server(then=lambda body: behaviour) as server:
        client = model(server.url, timeout=0.1 if reason == "timed out" else 20.0)
        with pytest.raises(EndpointError, match=f"gives no answers .{reason}"):
            ask(client)
    assert client.usage.sent == 3
    assert len(server.bodies) <= 3


def test_a_request_that_is_never_answered_is_refused_and_the_others_go_on():
    def choose(body):
        return fails(500) if "bad" in body["messages"][-1]["content"] else GOOD

    with Server(then=choose) as server:
        client = model(server.url, concurrency=1)
        answers = ask(client, "good", "bad", "good again")
    assert [answer.reason for answer in answers] == ["", "HTTP 500", ""]
    assert client.usage.to_dict()["refusals"] == {"HTTP 500": 1}
    assert (client.usage.requests, client.usage.answered) == (3, 2)


def test_many_in_a_row_stop_the_run():
    with Server([GOOD], then=lambda body: fails(502)) as server:
        client = model(server.url, concurrency=1, max_failures=3, retries=0)
        with pytest.raises(EndpointError, match="HTTP 502"):
            ask(client, *map(str, range(50)))
    assert len(server.bodies) == 4


def test_an_endpoint_that_is_down():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match=r"gives no answers \(no connection\).*`base_url`"):
            ask(model(url))


def test_a_name_that_is_not_known(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(EndpointError, match="no connection"):
        ask(model("http://nowhere.invalid/v1", retries=0))


def test_retry_after_is_heeded():
    times = []

    def choose(body):
        times.append(time.monotonic())
        return fails(429, Retry_After="0.3") if len(times) < 3 else GOOD

    with Server(then=choose) as server:
        assert ask(model(server.url))[0].value == {"word": "good"}
    assert times[1] - times[0] >= 0.3
    assert times[2] - times[1] >= 0.3


def test_a_long_retry_after_is_not_waited_for():
    """It ends at once, since the bound on the whole would be exceeded."""
    with (
        Server(then=lambda body: fails(429, Retry_After="86400")) as server,
        pytest.raises(EndpointError, match="HTTP 429"),
    ):
        ask(model(server.url, retries=50))
    assert len(server.bodies) == 1


def test_the_bound_on_the_whole_ends_retries():
    with Server(then=lambda body: fails(500)) as server, pytest.raises(EndpointError):
        ask(model(server.url, retries=1000, first_pause=0.1, max_wait=1.0))
    assert len(server.bodies) < 20


STOPPING = {
    401: "set the environment variable OPENAI_API_KEY",
    403: "set the environment variable OPENAI_API_KEY",
    404: "`model` must be one that .*/v1/models lists",
    402: "no credit",
    405: "correct what it names",
    304: "HTTP 304",
}


@pytest.mark.parametrize(("status", "remedy"), STOPPING.items())
def test_what_no_retry_mends_stops_at_once(status, remedy):
    with Server(then=lambda body: fails(status, "no credit, sk-secret-of-the-tests")) as server:
        client = model(server.url, concurrency=1)
        with pytest.raises(EndpointError, match=remedy) as caught:
            ask(client, "a", "b", "c")
    assert len(server.bodies) == 1
    assert "sk-secret" not in str(caught.value)


def test_no_quota_is_no_rate_limit():
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    with (
        Server(then=lambda _: sends(body, 429)) as server,
        pytest.raises(EndpointError, match="You exceeded your quota"),
    ):
        ask(model(server.url))
    assert len(server.bodies) == 1


def test_a_rejected_request_is_refused_with_what_the_endpoint_says():
    with Server([fails(400, "prompt too long"), GOOD]) as server:
        client = model(server.url, concurrency=1)
        rejected, good = ask(client, "long", "short")
    assert rejected.reason == "HTTP 400"
    assert "prompt too long" in rejected.text
    assert good.value == {"word": "good"}


def test_an_endpoint_that_rejects_everything_stops_the_run():
    with (
        Server(then=lambda body: fails(400, "response_format is unknown")) as server,
        pytest.raises(EndpointError, match=r"response_format is unknown.*`response_format`"),
    ):
        ask(model(server.url, concurrency=1, max_failures=2), *"abcdef")
    assert len(server.bodies) == 2


FAULTY = {
    "prose": (says("Certainly! A fine word is 'cup'."), "prose"),
    "invalid JSON": (says('{"word": "cup"'), "invalid JSON"),
    "no number of JSON": (says('{"word": NaN}'), "invalid JSON"),
    "a number of 5000 digits": (says('{"word": ' + "1" * 5000 + "}"), "invalid JSON"),
    "brackets without end": (says("[" * 15_000), "invalid JSON"),
    "half a surrogate pair": (says('{"word": "\\ud83d"}'), "not Unicode"),
    "another type": (says({"word": 5}), "not of the schema"),
    "a missing key": (says({"ids": [1]}), "not of the schema"),
    "an unknown key": (says({"word": "a", "more": 1}), "not of the schema"),
    "a list": (says('["word"]'), "not of the schema"),
    "an empty list": (says({"word": "a", "ids": []}), "not of the schema"),
    "unknown ids": (says({"word": "a", "ids": [0, 99]}), "unknown ids"),
    "nothing": (says(""), "empty"),
    "null": (says(None), "empty"),
    "cut at the limit of tokens": (says('{"word": "a', finish="length"), "cut off"),
    "a refusal": (says(None, refusal="I cannot help with that"), "declined"),
    "filtered": (says("", finish="content_filter"), "declined"),
    "10 MB of text": (says("a" * 10_000_000), "too large"),
    "10 MB of text, packed": (sends(gzip.compress(completion("a" * 10_000_000)), Content_Encoding="gzip"), "too large"),
    "10 MB of spaces": (says(" " * 10_000_000 + '{"word": "a"}'), "too large"),
}


@pytest.mark.parametrize(("behaviour", "reason"), FAULTY.values(), ids=FAULTY)
def test_an_answer_of_no_use_is_refused_after_a_bounded_number_of_reasks(behaviour, reason, tmp_path):
    with Server(then=lambda body: behaviour) as server:
        client = model(server.url, reasks=2, cache=tmp_path)
        (answer,) = ask(client)
    assert (answer.value, answer.reason) == (None, reason)
    assert client.usage.to_dict()["faulty"] == {reason: 3}
    assert client.usage.to_dict()["refusals"] == {reason: 1}
    assert len(server.bodies) == 3
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.json")) < 100_000


@pytest.mark.parametrize(("behaviour", "reason"), FAULTY.values(), ids=FAULTY)
def test_a_reask_tells_what_was_wrong_and_may_succeed(behaviour, reason):
    with Server([behaviour, GOOD]) as server:
        client = model(server.url)
        assert [answer.value for answer in ask(client)] == [{"word": "good"}]
    first, second = (body["messages"][-1]["content"] for body in server.bodies)
    assert second.startswith(first + "\n\nAn earlier answer was refused: The ")
    assert [body["seed"] for body in server.bodies] == [0, 1]
    assert client.usage.to_dict()["refusals"] == {}


@pytest.mark.parametrize("text", ['<think>{"word": 1}</think>\n{"word": "good"}', '```json\n{"word": "good"}\n```'])
def test_thoughts_and_fences_are_taken_off(text):
    with Server([says(text)]) as server:
        assert [answer.value for answer in ask(model(server.url))] == [{"word": "good"}]


@pytest.mark.parametrize(("form", "sent"), [("json_object", {"type": "json_object"}), ("none", None)])
def test_endpoints_without_schemas_get_it_in_the_prompt(form, sent):
    with Server([GOOD]) as server:
        ask(model(server.url, response_format=form))
    assert server.bodies[0].get("response_format") == sent
    assert json.dumps(SCHEMA) in server.bodies[0]["messages"][-1]["content"]


def test_order_is_that_of_the_requests_and_concurrency_is_bounded():
    lock, now, most = threading.Lock(), [0], [0]
    first_two = {"0": threading.Event(), "1": threading.Event()}

    def answer(body):
        text = body["messages"][-1]["content"]

        def behave(handler):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            if text in first_two:  # Each one waits for the other.
                first_two[text].set()
                first_two[str(1 - int(text))].wait(60)
            threading.Event().wait(0.02 if int(text) % 3 else 0.06)
            with lock:
                now[0] -= 1
            says({"word": text})(handler)

        return behave

    texts = [str(number) for number in range(20)]
    with Server(then=answer) as server:
        answers = ask(model(server.url, concurrency=4, batch=7), *texts)
    assert [answer.value["word"] for answer in answers] == texts
    assert 2 <= most[0] <= 4


def test_requests_are_taken_a_batch_at_a_time():
    taken = []

    def requests():
        for number in range(6):
            taken.append(number)
            yield request(str(number))

    with Server(then=lambda body: GOOD) as server:
        answers = model(server.url, batch=2).ask(requests())
        next(answers)
        assert taken == [0, 1]
        assert len(list(answers)) == 5


def test_inside_a_running_event_loop():
    async def notebook(url):
        return ask(model(url))

    with Server([GOOD]) as server:
        assert asyncio.run(notebook(server.url))[0].value == {"word": "good"}


def test_pauses_double_up_to_a_minute_less_at_most_a_half():
    for retry, longest in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        pauses = {pause(1.0, retry, key) for key in map(str, range(50))}
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
        assert len(pauses) > 20
    assert pause(1.0, 10_000, "a") <= 60


def test_retry_after_as_number_and_as_date():
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert retry_after("120") == 120
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert [retry_after(text) for text in (None, "", "soon", "-5", "nan", "inf")] == [0] * 6
