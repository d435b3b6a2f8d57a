"""The client of Hugging Face's hub, whatever the user of this machine has set or downloaded."""

import pytest


@pytest.fixture
def fresh_hub(tmp_path, monkeypatch):
    """Makes it that of somebody who has set nothing; its sessions, which remember settings, are new afterwards."""
    from huggingface_hub.utils import reset_sessions

    # It reads its settings when it is imported.
    home = tmp_path / "home"
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(home / "token"),
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(home))
    reset_sessions()
    yield
    reset_sessions()
