"""A key in the environment."""

import pytest

KEY = "sk-secret-of-the-tests"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
