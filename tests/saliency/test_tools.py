"""The command-line tools as users call them, each in processes of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.saliency.conftest import SMALL, small_config, write_saliency_data

ROOT = Path(__file__).parents[2]
CONFIG = "configs/sod_diffusion/sod_diffusion_tiny.py"


def call(*command: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs a command in the repository with one thread a process, so that two share two cores."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**env, **environment})


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


def test_two_processes_train_and_give_the_metrics_of_one(trained, tmp_path):
    data, checkpoint = trained
    port = {"PORT": str(20000 + os.getpid() % 20000)}
    done = call("tools/dist_train.sh", CONFIG, "2", "--work-dir", str(tmp_path / "run"), *options(data), **port)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run/epoch_1.pth").is_file()

    test = [CONFIG, str(checkpoint)]
    rest = ["--work-dir", str(tmp_path / "test"), *options(data)]
    two = call("tools/dist_test.sh", *test, "2", *rest, **port)
    one = call("python", "tools/test.py", *test, *rest, "--out", str(tmp_path / "maps"))
    assert scores(one.stdout), one.stderr[-3000:]
    assert scores(two.stdout) == pytest.approx(scores(one.stdout), abs=1e-4), two.stderr[-3000:]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [f"{i}.png" for i in range(5)]


def test_report_is_one_page_that_needs_no_network(trained, tmp_path):
    data, checkpoint = trained
    page = tmp_path / "page.html"
    done = call(
        "python", "tools/report_saliency.py", CONFIG, str(checkpoint), "--work-dir", str(tmp_path / "run"),
        "--out", str(page), *options(data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("centre prior", "auxiliary map", "full model ", "conditions shuffled"):
        assert name in done.stdout
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
        (["nowhere.py"], "nowhere.py does not exist"),
        ([CONFIG, "--amp"], "`--amp` needs a GPU"),
        ([CONFIG, "--cfg-options", "train_dataloder.batch_size=1"], "Did you mean 'train_dataloader'"),
        ([CONFIG, "--cfg-options", "max_epochs=8"], "Override `train_cfg.max_epochs`"),
        ([CONFIG, "--work-dir", "README.md/run"], "README.md/run is a file|README.md' is a file|must be a folder"),
        ([CONFIG, "--cfg-options", "train_dataloader.dataset.data_root=/nowhere"], "/nowhere/images does not exist"),
    ],
)
def test_train_refuses_bad_arguments(arguments, words, tmp_path):
    if "--work-dir" not in arguments:
        arguments = [*arguments[:1], "--work-dir", str(tmp_path), *arguments[1:]]
    done = call("python", "tools/train.py", *arguments, CUDA_VISIBLE_DEVICES="")
    assert done.returncode != 0
    assert re.search(words, done.stderr)


def test_full_size_without_base_model_says_how_to_get_it(trained, tmp_path):
    done = call(
        "python", "tools/train.py", "configs/sod_diffusion_swinb.py", "--work-dir", str(tmp_path), "--cfg-options",
        "model.backbone.pretrained=False", "model.codec.pretrained=nowhere/stable-diffusion",
        f"train_dataloader.dataset.data_root={trained[0]}", f"val_dataloader.dataset.data_root={trained[0]}",
        HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert done.returncode != 0
    assert "hf download" in done.stderr
    assert "SOS_MM_BASE_MODEL" in done.stderr


def test_checkpoint_of_another_architecture_names_the_parts(trained, tmp_path):
    data, checkpoint = trained
    rest = [
        "--work-dir",
        str(tmp_path),
        *options(data),
        "model.neck.out_channels=16",
        "model.decode_head.in_channels=16",
    ]
    done = call("python", "tools/test.py", CONFIG, str(checkpoint), *rest)
    assert done.returncode != 0
    assert "size mismatch for neck.fuse.0.weight" in done.stderr


def test_misspelt_key_of_a_config_is_refused(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = '{ROOT / CONFIG}'\ntrain_dataloder = dict(batch_size=1)\n")
    done = call("python", "tools/train.py", str(config), "--work-dir", str(tmp_path / "run"))
    assert done.returncode != 0
    assert "Did you mean 'train_dataloader'" in done.stderr


def test_collect_env_names_every_part():
    done = call("python", "tools/collect_env.py")
    assert done.returncode == 0, done.stderr
    for part in ("segments, composition, synthesis: ready", "saliency: ready", "detection: ", "OpenMMLab lineage: "):
        assert part in done.stdout
