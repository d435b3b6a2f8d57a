"""What the built wheel can do away from the clone, from an empty folder.

The composition side runs in a new environment with nothing but the wheel and what it needs from PyPI; the torch side
runs the wheel's own files with the libraries of this environment.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import cv2
import pytest

from sos_mm.compat import find_lineage
from sos_mm.shipped import config_names

pytestmark = pytest.mark.wheel

REPOSITORY = Path(__file__).parents[1]
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.md", "model-index.yml", "pyproject.toml", "setup.cfg", "setup.py")


def call(*command: str | Path, cwd: Path, fails: bool = False, **environment: str) -> str:
    """Runs a command away from the clone; what it said."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**env, "OMP_NUM_THREADS": "1", **environment},
    )
    assert (done.returncode != 0) == fails, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the source distribution of a copy of this tree."""
    folder = tmp_path_factory.mktemp("build")
    tree = folder / "tree"
    for name in ("sos_mm", "configs", "tools"):
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT_FROM:
        shutil.copy(REPOSITORY / name, tree)
    build = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    call(sys.executable, "-c", build, cwd=tree)
    (source,) = folder.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder]
    call(*pip, source, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def composing(wheel, tmp_path_factory) -> Path:
    """The programs of a new environment with the wheel, the sample's backgrounds, and mmengine, which reads recipes."""
    config, lineage = configparser.ConfigParser(), find_lineage()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    distribution, _ = lineage.packages["mmengine"]
    pins = config["options.extras_require"][lineage.name].split()
    mmengine = next(pin for pin in pins if pin.startswith(f"{distribution}=="))
    folder = tmp_path_factory.mktemp("composing")
    venv.create(folder, with_pip=True)
    call(folder / "bin/python", "-m", "pip", "install", f"{wheel}[sample]", mmengine, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> dict[str, str]:
    """Variables with which this environment's Python finds the wheel's files, unpacked, before the clone's."""
    folder = tmp_path_factory.mktemp("installed")
    call(sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder, wheel, cwd=folder)
    variables = dict(PYTHONPATH=str(folder), CUDA_VISIBLE_DEVICES="")
    found = call(sys.executable, "-c", "import sos_mm; print(sos_mm.__file__)", cwd=folder, **variables)
    assert found.strip() == str(folder / "sos_mm/__init__.py")
    return variables


def test_wheel_holds_configs_and_tools(wheel):
    with ZipFile(wheel) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    shipped = {each.removeprefix("sos_mm/.mim/"): files[each] for each in files if each.startswith("sos_mm/.mim/")}
    for name, content in shipped.items():
        assert content == (REPOSITORY / name).read_bytes()
    assert {name for name in shipped if name.startswith("configs/") and name.endswith(".py")} == {
        f"configs/{name}" for name in config_names()
    }
    tools = {path.name for path in (REPOSITORY / "tools").iterdir() if path.suffix in (".py", ".sh")}
    needs_clone = {"environment.sh", "make_sample_bank.py", "quickstart.sh", "run_tests.sh", "test_files.sh"}
    assert {name.removeprefix("tools/") for name in shipped if name.startswith("tools/")} == tools - needs_clone
    assert "model-index.yml" in shipped
    assert not [name for name in files if name.startswith(("configs/", "tools/", "tests/"))]


def test_composing_without_a_clone(composing, tmp_path):
    def sos_mm(*arguments: str, **options) -> str:
        return call(composing / "sos-mm", *arguments, cwd=tmp_path, **options)

    missing = (
        "import importlib.util as u; print([name for name in ('torch', 'mmcv', 'mmdet', 'mmseg') if u.find_spec(name)])"
    )
    assert call(composing / "python", "-c", missing, cwd=tmp_path) == "[]\n"
    assert "compose a data set" in sos_mm("--help")
    assert set(sos_mm("config", "--list").split()) == set(config_names())

    sos_mm("config", "synthesis/sample_ten.py")
    sos_mm("preview", "sample_ten.py")
    assert min(cv2.imread(str(tmp_path / "preview.png")).shape[:2]) > 900
    assert "6 images" in sos_mm("synthesize", "sample_ten.py", "--out", "data", "--num", "6", "--workers", "2")
    annotations = json.loads((tmp_path / "data/annotations/instances.json").read_text())
    assert len(annotations["images"]) == 6
    assert "no faults" in sos_mm("validate", "data/annotations/instances.json", "--images", "data/images")
    sos_mm("browse", "data", "--out", "page")
    assert "<html" in (tmp_path / "page/index.html").read_text()

    own = '_base_ = __import__("sos_mm").get_config("synthesis/sample_detection.py")\ncanvas = (96, 128)\n'
    (tmp_path / "own.py").write_text(own)
    sos_mm("synthesize", "own.py", "--out", "own", "--num", "2")
    assert {cv2.imread(str(path)).shape for path in (tmp_path / "own/images").iterdir()} == {(96, 128, 3)}

    sos_mm("index", "bank.arrow", "type=sample")
    assert "saliency: missing: " in sos_mm("env")
    assert "`sos-mm train` cannot be used here: " in sos_mm("train", "own.py", fails=True)


@pytest.fixture(scope="module")
def saliency_data(installed, tmp_path_factory) -> Path:
    """A folder with eight composed pairs in ``data`` and the small config, copied out."""
    folder = tmp_path_factory.mktemp("training")
    sos_mm = [sys.executable, "-m", "sos_mm"]
    for name in ("synthesis/sample_saliency.py", "sod_diffusion/sod_diffusion_tiny.py"):
        call(*sos_mm, "config", name, cwd=folder, **installed)
    call(*sos_mm, "synthesize", "sample_saliency.py", "--out", "data", "--num", "8", cwd=folder, **installed)
    return folder


# Few images, and one epoch of them.
FEW = [
    *(f"{kind}_dataloader.dataset.data_root=data" for kind in ("train", "val", "test")),
    *("train_dataloader.batch_size=2", "train_cfg.max_epochs=1", "default_hooks.logger.interval=1"),
]


def test_training_without_a_clone(installed, saliency_data):
    def sos_mm(*arguments: str) -> str:
        return call(sys.executable, "-m", "sos_mm", *arguments, cwd=saliency_data, **installed)

    told = sos_mm("train", "sod_diffusion_tiny.py", "--cfg-options", *FEW)
    assert re.search(r"Epoch\(train\) +\[1\]\[4/4\]", told), told[-2000:]
    checkpoint = "work_dirs/sod_diffusion_tiny/epoch_1.pth"
    assert (saliency_data / checkpoint).is_file()
    told = sos_mm("test", "sod_diffusion_tiny.py", checkpoint, "--out", "maps", "--cfg-options", *FEW)
    assert "sod/MAE" in told
    assert len(list((saliency_data / "maps").iterdir())) == 8


def test_training_a_config_that_inherits_a_shipped_one(installed, saliency_data):
    own = """_base_ = __import__("sos_mm").get_config("sod_diffusion/sod_diffusion_tiny.py")
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=4, dataset=dict(data_root="data"))
val_dataloader = dict(dataset=dict(data_root="data"))
default_hooks = dict(logger=dict(interval=1))
"""
    (saliency_data / "own.py").write_text(own)
    told = call(sys.executable, "-m", "sos_mm", "train", "own.py", cwd=saliency_data, **installed)
    assert re.search(r"Epoch\(train\) +\[1\]\[2/2\]", told), told[-2000:]
    assert (saliency_data / "work_dirs/own/epoch_1.pth").is_file()


def test_two_processes_without_a_clone(installed, saliency_data):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m", "sos_mm"]
    train = ["train", "sod_diffusion_tiny.py", "--launcher", "pytorch", "--work-dir", "two", "--cfg-options", *FEW]
    told = call(*torchrun, *train, cwd=saliency_data, **installed)
    assert re.search(r"Epoch\(train\) +\[1\]\[2/2\]", told), told[-2000:]
