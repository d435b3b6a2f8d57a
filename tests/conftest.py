"""Small real things that tests are made of. Imports no torch: some tests run where there is none."""

import json
import logging
import os
import signal
import sys

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from sos_mm.segments import Segment, SegmentBank

# No test fails because a machine is slow. By default the same code gets the same examples: a change that passes here
# passes everywhere. `--hypothesis-profile explore` draws new ones each time.
ANY_MACHINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **ANY_MACHINE)
settings.register_profile("explore", **ANY_MACHINE)
settings.load_profile("repeatable")
# Hypothesis would also try constants of all imported modules: they depend on the tests that a process has run before.
providers.is_local_module_file = lambda path: False

# No proxy stands between the tests and the servers that they start.
_DIRECT = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, _DIRECT))

# Ray kills tasks on a machine whose memory is nearly full, whoever fills it.
os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 # Ray spells it so.

# A shell ignores it for what it starts in the background, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def make_rgba(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """An ellipse of noisy colour with a soft edge, over transparent pixels of another colour."""
    alpha = np.zeros((height, width), np.uint8)
    center, axes = (width // 2, height // 2), (max(width // 2 - 3, 1), max(height // 2 - 3, 1))
    cv2.ellipse(alpha, center, axes, 0, 0, 360, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 0)
    color = rng.integers(0, 256, 3) + rng.integers(-20, 21, (height, width, 3))
    return np.dstack([np.clip(color, 0, 255).astype(np.uint8), alpha])


def make_segment(rng: np.random.Generator, height: int = 40, width: int = 30, **words) -> Segment:
    """A segment of such an ellipse."""
    return Segment(make_rgba(rng, height, width), **{"category": "ball", "source_id": "ball/plain/0", **words})


def write_rgba(path, rgba: np.ndarray) -> None:
    """Writes an RGBA image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))


@pytest.fixture(autouse=True)
def fresh_mmengine():
    """Leaves mmengine as a new process has it: runners set default scope, loggers and others for good.

    Two runners of one second have one name, by which the second one would take over what the first one has set.
    """
    yield
    if "mmengine.logging" in sys.modules:
        # What still holds a logger writes on: not to the stream of a test's capture, which is closed by now.
        loggers = sys.modules["mmengine.logging"].MMLogger._instance_dict
        for handler in [handler for logger in loggers.values() for handler in logger.handlers]:
            if type(handler) is logging.StreamHandler:
                handler.stream = sys.stdout
    if "mmengine.utils" in sys.modules:
        forget_instances(sys.modules["mmengine.utils"].ManagerMixin)


def forget_instances(manager: type) -> None:
    """Forgets the instances that mmengine keeps by their names, of a class and all that are derived from it."""
    manager._instance_dict.clear()
    for each in manager.__subclasses__():
        forget_instances(each)


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    """Keeps the client of Hugging Face's hub off the network, and off what it has downloaded before.

    Its sessions, which remember the first, are new afterwards.
    """
    from huggingface_hub.utils import reset_sessions

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    reset_sessions()
    yield
    reset_sessions()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def release(tmp_path):
    """A small collection laid out as the released one: its folder and its metadata file."""
    rng = np.random.default_rng(1)
    kinds = {("apple", "red_apple"): 3, ("apple", "green_apple"): 1, ("dog", "small_dog"): 2}
    words = {}
    for (category, sub_category), number in kinds.items():
        for index in range(number):
            height, width = rng.integers(40, 120, 2)
            path = tmp_path / "segments" / category / sub_category / f"{index}.png"
            write_rgba(path, make_rgba(rng, height, width))
        phrase = f"a {sub_category.replace('_', ' ')}"
        words[f"{category}_{sub_category}"] = {
            "description": f"{phrase.capitalize()} on its own.",
            "short_phrase": phrase,
            "features": [sub_category.split("_")[0], "whole"],
        }
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps(words))
    return tmp_path / "segments", metadata


@pytest.fixture
def bank(release):
    return SegmentBank.from_release_layout(*release)


@pytest.fixture
def photos(tmp_path):
    """A folder of two small photographs."""
    rng = np.random.default_rng(2)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, (height, width) in enumerate([(120, 200), (160, 140)]):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture
def recipe_dict(release, photos):
    """A recipe over the two, small enough for tests."""
    root, metadata = map(str, release)
    return {
        "canvas": (80, 96),
        "segments": {"type": "release", "root": root, "metadata": metadata},
        "backgrounds": {"type": "folder", "root": str(photos)},
        "layout": {
            "type": "StructuredLayout",
            "counts": (1, 4),
            "shares": {"large": 0.5, "medium": 0.5, "small": 0.0},
            "crowded": "fewer",
        },
        "formats": ["saliency"],
    }


@pytest.fixture
def bank_config(release):
    """That collection as a dict that `build_bank` takes."""
    root, metadata = map(str, release)
    return {"type": "release", "root": root, "metadata": metadata}
