"""Identifies the package's code and libraries, which besides recipe and seed determine the bytes of a data set."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import sos_mm
from sos_mm.compat import installed_version
from sos_mm.compiled import numba_version


def library_facts() -> dict[str, Any]:
    """Returns the versions of the libraries, and the build options of OpenCV that change its results.

    With and without Intel's IPP, OpenCV's scaling and blurring differ in the last digits. Numba is noted for its speed.
    """
    return {
        "sos_mm": sos_mm.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "numpy": np.__version__,
        "numba": numba_version() or "none",
        "isal": installed_version("isal") or "unknown",
        "pycocotools": installed_version("pycocotools") or "unknown",
        "opencv": cv2.__version__,
        "opencv_ipp": cv2.ipp.getIppVersion() if cv2.ipp.useIPP() else "off",
        "opencv_optimized": cv2.useOptimized(),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists the values of `library_facts` that have changed, such as 'numpy 2.2.6 instead of 1.26.4'."""
    # Results are the same with numba and without.
    changed = [name for name in now if name != "numba" and before.get(name, now[name]) != now[name]]
    return [f"{name} {now[name]} instead of {before[name]}" for name in changed]


@cache
def code_hash() -> str:
    """Computes a SHA-256 of the package's Python files: all processes of a data set must run the same code."""
    root = Path(sos_mm.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(".mim/"):
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
