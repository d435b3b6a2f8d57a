"""Small clients and questions; as a program, one that asks, which tests kill."""

import json
import sys

from sos_mm.checks import FaultyInputError
from sos_mm.language_model import OpenAICompatible, Request
from tests.language_model.server import says

SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string"}, "ids": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
    "required": ["word"],
    "additionalProperties": False,
}
GOOD = says({"word": "good"})


def known_ids(value):
    if not set(value.get("ids", ())) <= {0, 1}:
        raise FaultyInputError("unknown ids", "The ids must be 0 or 1.")


def request(text: str = "Say a word.") -> Request:
    return Request(({"role": "user", "content": text},), SCHEMA, known_ids)


def model(url: str, **changes) -> OpenAICompatible:
    settings = dict(model="m", timeout=20.0, retries=2, first_pause=0.001, max_wait=60.0, reasks=1, max_bytes=20_000)
    return OpenAICompatible(base_url=url, **{**settings, **changes})


def ask(client: OpenAICompatible, *texts: str):
    return list(client.ask(request(text) for text in texts or ["Say a word."]))


if __name__ == "__main__":
    url, cache, number, concurrency = sys.argv[1:]
    client = model(url, cache=cache, concurrency=int(concurrency))
    answers = ask(client, *(f"question {index}" for index in range(int(number))))
    print(json.dumps({"words": [answer.value["word"] for answer in answers], "usage": client.usage.to_dict()}))
