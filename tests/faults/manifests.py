"""Damaged manifests and other files of a run."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.inputs import Case, _synthesize
from tests.faults.spoiling import replaced


def _refer(folder: Path) -> list:
    return ["refer", folder / "made/annotations/objects.jsonl", "--no-pixels", "--out", folder / "words"]


def manifest_cases() -> Iterator[Case]:
    """Yields manifests and other files of a run that are damaged."""
    for what, content in (
        ("empty", b""), ("a list", b"[]"), ("cut short", b'{"recipe": {'), ("a number", b"5"), ("not UTF-8", b"\xff"),
        ("without a recipe", b"{}"), ("with another recipe", b'{"recipe": 5}'), ("null", b"null"),
        ("recipe without backgrounds", b'{"recipe": {"backgrounds": 5}}'),
    ):  # fmt: skip
        spoil = replaced("made/manifest.json", content)
        yield Case("manifests", what, "synthesize", spoil, _synthesize, says="manifest")
        yield Case("manifests", what, "refer", _beside_objects(content), _refer, says="manifest")
    for what, content in (("empty", b""), ("a list", b"[]"), ("cut short", b'{"seed"'), ("a number", b"5")):
        spoil = replaced("made/.shards/run.json", content)
        yield Case("manifests", f"run.json {what}", "synthesize", spoil, _synthesize, says=r"run\.json")


def _beside_objects(content: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        replaced("made/manifest.json", content)(folder)
        (folder / "made/annotations").mkdir()
        shutil.copy(folder / "objects.jsonl", folder / "made/annotations/objects.jsonl")

    return spoil
