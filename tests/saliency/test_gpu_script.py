"""The GPU benchmark: its arithmetic by hand, what it does without time or memory, and its dry run."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "tools/benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are in a clone only")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import gpu_saliency

    return gpu_saliency


def test_share_of_the_roofline_by_hand(script):
    rates = dict(matrix_flop_per_s=100.0, copy_bytes_per_s=10.0)
    # 50 operations need .5 s; 2 bytes need .2 s, 20 bytes 2 s.
    assert script.roofline_share(2.0, 50, 2, rates) == pytest.approx(0.25)
    assert script.roofline_share(4.0, 50, 20, rates) == pytest.approx(0.5)


def test_weights_are_read_once_a_pass(script):
    model = torch.nn.Module()
    model.codec, model.decode_head = torch.nn.Linear(3, 5, bias=False), torch.nn.Module()
    model.decode_head.denoiser = torch.nn.Linear(2, 2, bias=False)
    assert script.weight_bytes(model, 1) == 2 * (15 + 4)
    assert script.weight_bytes(model, 10) == 2 * (15 + 10 * 4)


def test_the_file_is_complete_after_each_measurement(script, tmp_path, capsys):
    path = tmp_path / "deep/gpu.json"
    report = script.Report(path, dict(device="x"), seconds=100)
    assert report.add("first", lambda: 3) == 3
    assert json.loads(path.read_text())["measured"] == {"first": 3}
    assert report.add("second", lambda: 1 / 0) is None
    report.end = 0
    assert report.add("third", lambda: 4) is None
    content = json.loads(path.read_text())
    assert content["failed"] == {"second": "ZeroDivisionError: division by zero"}
    assert (content["left_out"], content["measured"], content["device"]) == (["third"], {"first": 3}, "x")


def test_batches_grow_until_memory_ends(script):
    def measure(batch):
        if batch > 4:
            raise torch.cuda.OutOfMemoryError
        return dict(batch=batch)

    assert script.growing(4, measure) == [dict(batch=1), dict(batch=2), dict(batch=4)]
    assert script.growing(64, measure)[2:] == [dict(batch=4), dict(batch=8, out_of_memory=True)]


def test_it_refuses_to_run_without_a_gpu(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu_saliency.py"])
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: False))
    with pytest.raises(SystemExit):
        script.parse_args()
    assert "gpu.sh --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--minutes", "0"], "--minutes must be"), (["--out"], "--out needs a value"), (["--quick"], "unknown argument")],
)
def test_the_shell_refuses_bad_arguments(arguments, message):
    done = subprocess.run(["bash", FOLDER / "gpu.sh", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.slow
def test_dry_run(tmp_path):
    """Every measurement is there, and the command after it has run."""
    out = tmp_path / "gpu.json"
    command = ["bash", FOLDER / "gpu.sh", "--dry-run", "--minutes", "20", "--out", out, "--", "touch", tmp_path / "ran"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert (tmp_path / "ran").exists()
    assert (content["dry_run"], content["failed"], content["left_out"]) == (True, {}, [])
    assert len(content["measured"]) == 11
    rows = [row for row in content["measured"].values() if isinstance(row, dict)]
    assert len(rows) == 6
    assert all(row["images_per_s"] > 0 for row in rows)
