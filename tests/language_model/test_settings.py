"""Settings and prompts that cannot be meant are refused with what they must be."""

import pytest

from sos_mm.language_model import OpenAICompatible, Request, build_language_model, load_prompts
from sos_mm.language_model.completion import Completion, read_answer
from tests.language_model.client import SCHEMA

USER = {"role": "user", "content": "a"}


def test_a_model_is_built_from_a_dict(tmp_path):
    config = dict(base_url="http://localhost:8000/v1", model="Qwen/QwQ-32B", cache=str(tmp_path / "cache"))
    model = build_language_model(config)
    assert isinstance(model, OpenAICompatible)
    assert (model.temperature, model.usage.requests) == (0.1, 0)
    assert (tmp_path / "cache").is_dir()
    assert build_language_model({"type": "OpenAICompatible", **config}).model == "Qwen/QwQ-32B"


FAULTY = [
    ({"type": "OpenAI"}, "`language_model.type` must be one of 'OpenAICompatible'.*, but got 'OpenAI'"),
    ({"modle": "m"}, "'modle'. Did you mean 'model'"),
    ({"base_url": "localhost:8000"}, "`base_url` must be such as 'http://localhost:8000/v1', but got"),
    ({"base_url": "ftp://a/v1"}, "`base_url` must be such as"),
    ({"base_url": "http:///v1"}, "`base_url` must be such as"),
    ({"base_url": "http://[::1/v1"}, "`base_url` must be such as"),
    ({"base_url": "http://host:99999/v1"}, "`base_url` must be such as"),
    ({"base_url": "http://my host/v1"}, "`base_url` must be such as"),
    ({"base_url": f"http://{'a' * 100}/v1"}, "`base_url` must be such as"),
    ({"base_url": "http://a..b/v1"}, "`base_url` must be such as"),
    ({"base_url": 5}, "`base_url` must be such as"),
    ({"base_url": "https://me:pass@host/v1"}, "`base_url` must hold no user, password or query"),
    ({"base_url": "https://host/v1?key=pass"}, "`base_url` must hold no user, password or query"),
    ({"model": ""}, "`model` must be a text, but got ''"),
    ({"key_variable": None}, "`key_variable` must be a text, but got None"),
    ({"temperature": 3}, r"`temperature` must be in \[0, 2\], but got 3"),
    ({"temperature": "0.1"}, "`temperature` must be in"),
    ({"temperature": float("nan")}, "`temperature` must be in"),
    ({"max_tokens": 0}, "`max_tokens` must be an integer"),
    ({"seed": 0.5}, "`seed` must be an integer"),
    ({"timeout": 0}, "`timeout` must be in"),
    ({"timeout": float("inf")}, "`timeout` must be in"),
    ({"max_wait": -1}, "`max_wait` must be in"),
    ({"retries": None}, "`retries` must be an integer"),
    ({"concurrency": 0}, "`concurrency` must be an integer"),
    ({"batch": 0}, "`batch` must be an integer"),
    ({"reasks": -1}, "`reasks` must be an integer"),
    ({"max_bytes": 10}, "`max_bytes` must be an integer"),
    ({"response_format": "json"}, "`response_format` must be one of"),
    ({"extra": {"a": {1}}}, "`extra` must be a dict of JSON values"),
    ({"extra": 5}, "`extra` must be a dict of JSON values"),
]


@pytest.mark.parametrize(("change", "said"), FAULTY, ids=[str(change) for change, _ in FAULTY])
def test_faulty_settings_are_refused(change, said):
    with pytest.raises(ValueError, match=said) as caught:
        build_language_model({"base_url": "http://localhost:8000/v1", "model": "m", **change})
    assert "pass@" not in str(caught.value)
    assert "key=pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "schema", "said"),
    [
        ((), SCHEMA, "must end with one of role 'user'"),
        (({"role": "assistant", "content": "a"},), SCHEMA, "must end with one of role 'user'"),
        (({"role": "sistem", "content": "a"}, USER), SCHEMA, "Did you mean 'system'"),
        (({"role": "user", "content": 5},), SCHEMA, "must be a text, but got 5"),
        (({"role": "user", "content": ""},), SCHEMA, "must be a text, but got ''"),
        (({"role": "user", "content": "\ud83d"},), SCHEMA, "must be a text"),
        ((USER,), {"type": "array"}, "`schema` must be of type 'object', but is of 'array'"),
    ],
)
def test_faulty_requests_are_refused(messages, schema, said):
    with pytest.raises(ValueError, match=said):
        Request(messages, schema)


def test_a_missing_jsonschema_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ImportError, match=r"A language model needs `jsonschema`.*sos_mm\[language-model\]"):
        read_answer(Completion('{"word": "a"}'), SCHEMA)


PROMPTS = """A comment.

[free system]
You write, for $$5.

[free user]
Write about $facts
and [this user] thing.

[other user]
Write $facts.
"""


def test_prompts_come_from_a_file(tmp_path):
    (tmp_path / "prompts.txt").write_text(PROMPTS, encoding="utf-8")
    prompts = load_prompts(tmp_path / "prompts.txt")
    assert set(prompts) == {"free", "other"}
    system, user = prompts["free"].messages({"facts": "a $5 note, $facts", "more": "b"})
    assert system == {"role": "system", "content": "You write, for $5."}
    assert user["content"] == "Write about a $5 note, $facts\nand [this user] thing."
    with pytest.raises(ValueError, match=r"gaps of prompt 'other' must be among 'more', but it has \$facts"):
        prompts["other"].messages({"more": "b"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold prompts under lines such as"),
        ("just words", "must hold prompts under lines such as"),
        ("[a sistem]\nb", r"role of prompt 'a' in .*prompts.txt.* must be one of .*Did you mean 'system'"),
        ("[a user]\n\n[b user]\nc", "Prompt 'a' in .* must be a text"),
        ("[a user]\nfor 5$ a piece", r"dollar signs are gaps or written \$\$"),
    ],
)
def test_faulty_prompt_files_are_refused(text, said, tmp_path):
    (tmp_path / "prompts.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_prompts(tmp_path / "prompts.txt")
