"""Estimates of a data set: near its real size, and nothing is left behind."""

import tempfile

import cv2
import pytest

from sos_mm.synthesis import Estimate, Recipe, estimate, synthesize
from tests.helpers.commands import run

RECIPE = {
    "canvas": (64, 80),
    "group": "all",
    "backgrounds": {"type": "texture"},
    "layout": {"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.mark.parametrize(
    ("formats", "merge"),
    [(["coco", "lvis", "objects", "saliency"], "all"), (["coco", "odvg"], "none"), (["webdataset"], "all")],
)
def test_size(tmp_path, temporary, formats, merge):
    recipe = Recipe.from_dict({**RECIPE, "formats": formats, "vocabulary": None})
    found = estimate(recipe, 40, workers=2, seed=5, shard_size=20, merge=merge)
    assert found.measured == 20
    synthesize(recipe, tmp_path / "out", 40, seed=5, shard_size=20, merge=merge, progress=False)
    real = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert abs(found.size - real) < 0.1 * real
    assert found.size < found.peak < 2 * found.size
    assert min(found.opening_s, found.composing_s, found.merging_s) > 0
    assert not list(temporary.iterdir())


def test_nothing_is_left_after_an_error(temporary, monkeypatch):
    threads = cv2.getNumThreads()
    monkeypatch.setattr("sos_mm.synthesis.estimation.merge_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        estimate(Recipe.from_dict(RECIPE), 3, workers=2)
    assert not list(temporary.iterdir())
    assert cv2.getNumThreads() == threads


def test_figures(tmp_path, monkeypatch):
    """By hand: 20 images/s of each of four workers, 0.1 s of merging an image, 5 s of opening."""
    found = Estimate(1000, 4, 100, 5.0, 0.05, 100.0, 3_000_000, 4_000_000)
    assert found.rate == 80
    assert found.seconds == 5 + 12.5 + 100
    assert found.describe().splitlines() == [
        "estimate for 1000 images, from 100 images composed by one process:",
        f"80.0 images/s of 4 workers (20.0 of each, which needs a core of its own: this machine has {found.cores})",
        "117.5 s: 12.5 s to compose, 100.0 s to merge, 5.0 s to open segments and backgrounds",
        "3.0 MB, and up to 4.0 MB before the shards are removed",
    ]
    monkeypatch.setattr("sos_mm.synthesis.estimation.free_space", lambda folder: 1_500_000)
    told = found.describe(tmp_path / "out").splitlines()[-1]
    assert told == f"1.5 MB are free on the disk of {tmp_path / 'out'}: 2.5 MB too little"
    long = Estimate(10**6, 1, 100, 5.0, 0.036, 360.0, 1, 1)
    assert "10.10 hours: 10.00 hours to compose, 0.10 hours to merge" in long.describe()


def test_command(tmp_path, temporary):
    (tmp_path / "recipe.py").write_text("".join(f"{key} = {value!r}\n" for key, value in RECIPE.items()))
    words = ["synthesize", tmp_path / "recipe.py", "--num", "9"]
    ended = run([*words, "--estimate", "--out", tmp_path / "out"])
    assert (ended.code, ended.raised) == (0, "")
    assert "estimate for 9 images, from 9 images composed by one process" in ended.out
    assert "are free on the disk of" in ended.out
    assert not (tmp_path / "out").exists()
    assert not list(temporary.iterdir())
    refused = run(words)
    assert refused.code == 2
    assert "the following arguments are required: --out" in refused.err
    refused = run([*words[:-1], "0", "--estimate"])
    assert refused.code == 2
    assert "`num` must be" in refused.line
