"""Loops compiled by numba, if it is installed: the same results as the numpy and OpenCV code beside them, faster."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from sos_mm.compat import installed_version


def numba_version() -> str | None:
    """Returns the version of numba; None if it is not installed, or disabled by ``NUMBA_DISABLE_JIT=1``."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") or find_spec("numba") is None:
        return None
    return installed_version("numba")


@cache
def loops(module: str) -> ModuleType | None:
    """Imports a module of loops that numba compiles; returns None without numba.

    The first call of each loop after an installation compiles it, which takes seconds, and half a minute for all of a
    composed image; the result is stored beside the module, or in the user's cache folder.

    Raises:
        RuntimeError: If neither folder can be written; names the remedy.
    """
    if not numba_version():
        return None
    # Such as the four channels of a pixel at once: numba leaves this pass of its compiler out unless asked.
    import_module("numba").config.SLP_VECTORIZE = True
    try:
        return import_module(module)
    except RuntimeError as error:
        raise RuntimeError(
            f"numba cannot store compiled loops ({error}): set NUMBA_CACHE_DIR to a folder that can be written, or "
            "NUMBA_DISABLE_JIT=1 to work without numba."
        ) from error
