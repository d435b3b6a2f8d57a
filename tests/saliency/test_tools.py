"""The command-line tools as users call them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.helpers import commands
from tests.helpers.processes import free_port
from tests.saliency.conftest import SMALL, small_config, write_saliency_data

ROOT = Path(__file__).parents[2]
CONFIG = "configs/sod_diffusion/sod_diffusion_tiny.py"


def call(*command: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs a command in the repository with one thread a process, so that two share two cores."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**env, **environment})


@pytest.fixture
def run(monkeypatch):
    """Runs a tool in this process, in the repository."""
    monkeypatch.chdir(ROOT)
    return lambda *command: commands.run(command)


def options(data_root: Path) -> list[str]:
    small = [f"{key}={value}".replace(" ", "") for key, value in SMALL.items()]
    loaders = [
        text
        for loader in ("train_dataloader", "val_dataloader", "test_dataloader")
        for text in (
            f"{loader}.batch_size=2",
            f"{loader}.num_workers=0",
            f"{loader}.persistent_workers=False",
            f"{loader}.dataset.data_root={data_root}",
            f"{loader}.dataset.pipeline.{1 if loader != 'train_dataloader' else 2}.scale=(64,64)",
        )
    ]
    return ["--cfg-options", *small, *loaders, "train_cfg.max_epochs=1", "default_hooks.logger.interval=1"]


def scores(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"sod/(\w+): ([\d.]+)", text)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """Five images (so that two processes have unequal shares) and a checkpoint of the small model."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_saliency_data(folder / "data", 5)
    config = small_config(data, folder / "run")
    config.experiment_name = "trained"
    Runner.from_cfg(config).train()
    return data, folder / "run/epoch_1.pth"


def test_two_processes_train_and_give_the_metrics_of_one(trained, tmp_path, run):
    data, checkpoint = trained
    port = {"PORT": str(free_port())}
    done = call("tools/dist_train.sh", CONFIG, "2", "--work-dir", str(tmp_path / "run"), *options(data), **port)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run/epoch_1.pth").is_file()

    test = [CONFIG, str(checkpoint)]
    rest = ["--work-dir", str(tmp_path / "test"), *options(data)]
    two = call("tools/dist_test.sh", *test, "2", *rest, **port)
    one = run("test.py", *test, *rest, "--out", tmp_path / "maps")
    assert scores(one.out), one
    assert scores(two.stdout) == pytest.approx(scores(one.out), abs=1e-4), two.stderr[-3000:]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [f"{i}.png" for i in range(5)]


def test_report_is_one_page_that_needs_no_network(trained, tmp_path, run):
    data, checkpoint = trained
    page = tmp_path / "page.html"
    rest = ["--work-dir", tmp_path / "run", "--out", page, *options(data)]
    done = run("report_saliency.py", CONFIG, checkpoint, *rest)
    assert (done.code, done.raised) == (0, ""), done.err[-3000:]
    for name in ("centre prior", "auxiliary map", "full model ", "conditions shuffled"):
        assert name in done.out
    text = page.read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    _, *sections = text.split("<h2>")
    assert {each.partition("</h2>")[0]: each.count("<img") for each in sections} == {
        "Scores": 0,
        "Predictions": 5,
        "Sampling": 2,
        "Attention": 2,
        "Training data": 5,
        "Loss": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([CONFIG, "--amp"], "`--amp` needs a GPU"),
        ([CONFIG, "--cfg-options", "train_dataloder.batch_size=1"], "Did you mean 'train_dataloader'"),
        (
            [CONFIG, "--cfg-options", "model.codec.pretrained=x"],
            "`model.codec.pretrained`, but SpaceToDepthCodec takes no",
        ),
        ([CONFIG, "--cfg-options", "train_cfg.colour=1"], "`train_cfg.colour`, but EpochBasedTrainLoop takes no"),
        ([CONFIG, "--cfg-options", "param_scheduler.9.end=1"], "does not fit the config: Index 9 exceeds"),
        ([CONFIG, "--cfg-options", "max_epochs=8"], "Override `train_cfg.max_epochs`"),
        ([CONFIG, "--work-dir", "README.md/run"], "README.md/run is a file|README.md' is a file|must be a folder"),
        ([CONFIG, "--cfg-options", "train_dataloader.dataset.data_root=/nowhere"], "/nowhere/images does not exist"),
    ],
)
def test_train_refuses_bad_arguments(arguments, words, tmp_path, run, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if "--work-dir" not in arguments:
        arguments = [*arguments[:1], "--work-dir", str(tmp_path), *arguments[1:]]
    done = run("train.py", *arguments)
    assert (done.code, done.raised) == (2, "")
    assert done.line.startswith("error: ")
    assert re.search(words, done.line)


def test_a_refusal_ends_a_process_of_its_own(tmp_path):
    done = call("python", "tools/train.py", "nowhere.py", "--work-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: The config must be a config file, but nowhere.py does not exist."


def test_full_size_without_base_model_says_how_to_get_it(trained, tmp_path, run, no_hub):
    done = run(
        "train.py", "configs/sod_diffusion_swinb.py", "--work-dir", tmp_path, "--cfg-options",
        "model.backbone.pretrained=False", "model.codec.pretrained=nowhere/stable-diffusion",
        f"train_dataloader.dataset.data_root={trained[0]}", f"val_dataloader.dataset.data_root={trained[0]}",
    )  # fmt: skip
    assert (done.code, done.raised) == (2, "")
    assert "hf download" in done.line
    assert "SOS_MM_BASE_MODEL" in done.line


def test_checkpoint_of_another_architecture_names_the_parts(trained, tmp_path, run):
    data, checkpoint = trained
    rest = [
        "--work-dir",
        str(tmp_path),
        *options(data),
        "model.neck.out_channels=16",
        "model.decode_head.in_channels=16",
    ]
    done = run("test.py", CONFIG, checkpoint, *rest)
    assert (done.code, done.raised) == (2, "")
    assert "size mismatch for neck.fuse.0.weight" in done.line


def test_misspelt_key_of_a_config_is_refused(tmp_path, run):
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = '{ROOT / CONFIG}'\ntrain_dataloder = dict(batch_size=1)\n")
    done = run("train.py", config, "--work-dir", tmp_path / "run")
    assert (done.code, done.raised) == (2, "")
    assert "Did you mean 'train_dataloader'" in done.line


def test_collect_env_names_every_part(run):
    done = run("collect_env.py")
    assert done.code == 0, done
    for part in ("segments, composition, synthesis: ready", "saliency: ready", "detection: ", "OpenMMLab lineage: "):
        assert part in done.out
