"""OpenMMLab's lineages, told apart by the versions that are installed."""

import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from sos_mm import compat

ORIGINALS = {"mmengine": "0.10.7", "mmcv": "2.1.0", "mmdet": "3.3.0"}
NEWER = r"needs newer versions than torch 2\.1\.2.*pip install -e '\.\[openmmlab\]'.*Python 3\.11"
# Pretends that the versions of classic are installed, and no others of OpenMMLab's packages or torch.
CLASSIC = f"""
from importlib import metadata
original = metadata.version
def version(name):
    if name in {[*ORIGINALS, "torch"]}:
        return {dict(ORIGINALS, torch="2.1.2")}[name]
    if name.startswith("onedl-") or name.startswith("mmseg"):
        raise metadata.PackageNotFoundError(name)
    return original(name)
metadata.version = version
"""


@pytest.fixture
def installed(monkeypatch) -> dict[str, str]:
    """Versions by distribution, in place of what is installed."""
    numbers = dict(ORIGINALS)

    def version(distribution):
        if distribution in numbers:
            return numbers[distribution]
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(compat, "version", version)
    return numbers


@pytest.mark.parametrize(
    ("torch", "lineage"),
    [
        (None, "openmmlab"),
        ("2.0.1", "classic"),
        ("2.1.2", "classic"),
        ("2.1.2+cu121", "classic"),
        ("2.2.0", "openmmlab"),
        ("2.4.1+cpu", "openmmlab"),
    ],
)
def test_torch_tells_the_originals_apart(installed, torch, lineage):
    if torch:
        installed["torch"] = torch
    assert compat.check_openmmlab("mmengine", "mmcv", "mmdet").name == lineage


def test_the_forks_are_never_classic(installed):
    installed.clear()
    installed.update({"onedl-mmengine": "0.10.12", "torch": "2.1.2"})
    assert compat.find_lineage().name == "onedl"


@pytest.mark.parametrize("mmseg", [None, "1.2.2"])
def test_saliency_asks_for_newer_versions_than_classic(installed, mmseg):
    installed["torch"] = "2.1.2"
    if mmseg:
        installed["mmsegmentation"] = mmseg
    with pytest.raises(RuntimeError, match=f"`mmseg`.*saliency side, {NEWER}"):
        compat.check_openmmlab("mmengine", "mmcv", "mmseg")


def test_classic_names_its_own_extras(installed):
    installed["torch"] = "2.1.2"
    del installed["mmdet"], installed["mmcv"]
    with pytest.raises(RuntimeError, match=r"`mmdet`.*'\.\[classic-detection\]'"):
        compat.check_openmmlab("mmdet")
    with pytest.raises(RuntimeError, match=r"`mmcv`.*'\.\[classic\]'"):
        compat.check_openmmlab("mmcv")
    installed["mmcv"] = "2.2.0"
    with pytest.raises(RuntimeError, match=r"mmcv must be >=2\.1\.0,<2\.2, but is 2\.2\.0"):
        compat.check_openmmlab("mmcv")


def python(code: str) -> subprocess.CompletedProcess:
    """Runs code where the versions of classic are installed: really so in its own environment, pretended elsewhere."""
    pretence = "" if compat.find_lineage() is compat.CLASSIC else CLASSIC
    return subprocess.run([sys.executable, "-c", pretence + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", ["import sos_mm.saliency", "import sos_mm; sos_mm.SODInferencer"])
def test_importing_saliency_in_classic(code):
    done = python(code)
    assert done.returncode == 1
    assert re.search(NEWER, done.stderr)


def test_the_verb_of_saliency_data_in_classic():
    done = python("from sos_mm.cli import main; main(['check', '--help'])")
    assert done.returncode == 2
    assert done.stderr.startswith("error: `sos-mm check` cannot be used here: `mmseg`")
    assert re.search(NEWER, done.stderr)


def test_env_in_classic_says_what_is_missing_for_saliency():
    done = python("from sos_mm.cli import main; main(['env'])")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "OpenMMLab lineage: classic" in lines
    assert "  segments, composition, synthesis: ready" in lines
    (saliency,) = [line for line in lines if line.startswith("  saliency: ")]
    assert saliency.startswith("  saliency: missing: `mmseg`")
    assert re.search(NEWER, saliency)


@pytest.mark.parametrize(("name", "kind"), [("float", np.float64), ("long", np.dtype("l"))])
def test_aliases_that_numpy_dropped_are_restored(name, kind, monkeypatch):
    monkeypatch.delitem(np.__dict__, name, raising=False)
    compat.restore_numpy_aliases()
    assert np.dtype(getattr(np, name)) == kind


def test_aliases_that_numpy_has_stay(monkeypatch):
    monkeypatch.setitem(np.__dict__, "long", np.int16)
    compat.restore_numpy_aliases()
    assert np.long is np.int16
