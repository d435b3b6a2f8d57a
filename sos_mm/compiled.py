"""Loops compiled by numba, if it is installed: the same results as the numpy and OpenCV code beside them, faster."""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from sos_mm.compat import installed_version
from sos_mm.locks import short_turn


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
        imported = import_module(module)
    except RuntimeError as error:
        raise RuntimeError(
            f"numba cannot store compiled loops ({error}): set NUMBA_CACHE_DIR to a folder that can be written, or "
            "NUMBA_DISABLE_JIT=1 to work without numba."
        ) from error
    if sys.platform != "win32":
        for each in vars(imported).values():
            # Those that are only compiled into others are not stored.
            if stored := getattr(getattr(each, "_cache", None), "_cache_file", None):
                store_in_turn(stored)
    return imported


def store_in_turn(stored: Any) -> None:
    """Makes processes that share a store of compiled code, numba's ``IndexDataCacheFile``, write to it in turn.

    numba reads its index, then writes the index and the code. Two processes that do so at once, for arguments of two
    types, use the same file, and either would run what was compiled for the other's types.
    """
    if "save" in vars(stored):
        return
    save, lock = stored.save, Path(stored._cache_path) / ".sos_mm.lock"

    def in_turn(key: Any, code: Any) -> None:
        with short_turn(lock):
            save(key, code)

    stored.save = in_turn
