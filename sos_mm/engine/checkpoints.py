"""Reads checkpoints without running code that they contain.

A checkpoint is a pickle: objects in it can name any function, which is called while the file is read. mmengine reads it
with ``weights_only=True`` first, and then again without, if the first attempt fails; with torch before 2.6 it never
sets ``weights_only``. The functions here read tensors, plain containers and mmengine's own state of a training, and
refuse a file that contains anything else.

The config in a checkpoint (``meta['cfg']``) is Python code as well. Only `SODInferencer` with ``trust_checkpoint=True``
runs it. ``meta['config']``, which older versions of mmcv saved and mmengine runs when a training is resumed, is left
out.
"""

import codecs
import pickle
import re
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import load_state_dict
from torch import nn

# Element types of arrays: booleans, integers, floats and complex numbers. Arrays of objects are refused.
_NUMBERS = "?bhilqBHILQefdFD"
_OWN_STATISTICS = ("min", "max", "current", "mean")
_torch_load = torch.load


class CheckpointError(ValueError):
    """A file is no checkpoint that can be read."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint contains something other than tensors, plain containers and mmengine's state of a training."""


@contextmanager
def safe_loading() -> Iterator[None]:
    """Makes every ``torch.load`` of this process, also in libraries, refuse what `UnsafeCheckpointError` describes.

    The sos-mm commands run in it. It replaces ``torch.load``, since mmengine, mmdet, timm and others call it in many
    places, partly with ``weights_only=False``; `mmengine.runner.CheckpointLoader` keeps its schemes.
    """
    before = torch.load, torch.serialization.load
    torch.load = torch.serialization.load = load_safely
    try:
        yield
    finally:
        torch.load, torch.serialization.load = before


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint file to the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If it contains anything but weights and a training's state.
        ValueError: If torch cannot read it, or it holds no dict.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"The checkpoint {path} does not exist.")
    checkpoint = load_safely(path, map_location="cpu")
    weights_of(checkpoint, path)
    return checkpoint


def weights_of(checkpoint: object, path: str | Path = "") -> dict[str, Any]:
    """Returns the weights of a checkpoint: its ``state_dict``, or itself if it has none.

    Raises:
        CheckpointError: If it is not a dict of tensors.
    """
    weights = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else checkpoint
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        where = f" {path}" if str(path) else ""
        raise CheckpointError(
            f"The checkpoint{where} must be a dict with the weights under `state_dict`, but holds a "
            f"{type(weights).__name__}{'' if weights is checkpoint else ' there'}."
        )
    return weights


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Loads the weights of a checkpoint file into a model of the same architecture.

    Raises:
        FileNotFoundError, UnsafeCheckpointError, ValueError: See `read_checkpoint`.
        RuntimeError: If it is of another architecture; names the parts that differ.
    """
    weights = weights_of(read_checkpoint(path), path)
    load_state_dict(model, {name.removeprefix("module."): value for name, value in weights.items()}, strict=True)


def load_safely(f: Any, map_location: Any = None, *_: Any, **options: Any) -> Any:
    """Reads what ``torch.save`` wrote, like ``torch.load(f, map_location, weights_only=True)`` with our allow-list.

    Args:
        f: File name or open binary file.
        map_location: See `torch.load`.
        options: Other arguments of `torch.load`; those that would permit other objects have no effect.

    Raises:
        UnsafeCheckpointError: If it contains anything that is not in the allow-list.
        CheckpointError: If torch cannot read it.
    """
    name = str(f) if isinstance(f, str | Path) else getattr(f, "name", "The checkpoint")
    _refuse_other_containers(f, name)
    mmap = {"mmap": True} if options.get("mmap") else {}
    try:
        if hasattr(torch.serialization, "add_safe_globals"):
            with _allowed():
                loaded = _torch_load(f, map_location=map_location, weights_only=True, **mmap)
        else:
            restricted = _restricted_pickle()
            loaded = _torch_load(f, map_location=map_location, pickle_module=restricted, weights_only=False, **mmap)
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, AttributeError, UnicodeError) as error:
        raise _refusal(name, error) from error
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"The checkpoint {name} cannot be read: {str(error).splitlines()[0]}") from error
    return _without_old_config(loaded, name)


def _refusal(name: str, error: Exception) -> CheckpointError:
    """Returns the exception for a file that the unpickler did not take."""
    text = str(error)
    if found := re.search(r"GLOBAL (\S+)", text) or re.search(r"(?:class|function|but got) (.+)", text):
        return UnsafeCheckpointError(
            f"The checkpoint {name} is refused: it contains {found[1]}, which is neither a tensor, a plain container "
            "nor mmengine's state of a training, and could run code. Nothing of it was run. If you trust its source, "
            "save its weights alone from your own script: `torch.save(dict(state_dict=...), FILE)`."
        )
    return CheckpointError(
        f"The checkpoint {name} cannot be read: it is damaged, or not a file that `torch.save` wrote."
    )


def _refuse_other_containers(f: Any, name: str) -> None:
    """Refuses TorchScript and torch's old tar files, which torch before 2.6 reads without restrictions.

    Raises:
        UnsafeCheckpointError: If it is one.
    """
    start = None if isinstance(f, str | Path) else f.tell()

    def tells(question: Callable[[Any], bool]) -> bool:
        try:
            return question(f)
        except (OSError, zipfile.BadZipFile):
            return False  # Whatever it is: torch says so.
        finally:
            if start is not None:
                f.seek(start)

    scripted = tells(zipfile.is_zipfile) and tells(_holds_constants)
    archived = not scripted and not start and tells(tarfile.is_tarfile)  # torch does so at the start of a file only.
    if scripted or archived:
        kind = "TorchScript program" if scripted else "tar file"
        raise UnsafeCheckpointError(
            f"The checkpoint {name} is refused: it is a {kind}. Save its weights with `torch.save(weights, FILE)`."
        )


def _holds_constants(f: Any) -> bool:
    """Returns whether a zip file has the member by which torch recognises TorchScript."""
    with zipfile.ZipFile(f) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def _without_old_config(loaded: Any, name: str) -> Any:
    """Removes the config that mmengine would run when a training is resumed."""
    meta = loaded.get("meta") if isinstance(loaded, dict) else None
    if isinstance(meta, dict) and "config" in meta:
        print_log(f"{name}: the config that it holds as `meta.config` is not run.", "current", level=30)
        del meta["config"]
    return loaded


@contextmanager
def _allowed() -> Iterator[None]:
    """Adds our allow-list to torch's; removes it afterwards."""
    serialization = torch.serialization
    before = list(serialization.get_safe_globals())
    serialization.add_safe_globals(list(allow_list().values()))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


@cache
def allow_list() -> dict[str, Any]:
    """Returns what a checkpoint may name besides torch's own list of tensors, their types and plain containers.

    Functions that take more than they need are replaced by ones that check their arguments: `getattr` finds the
    statistics of mmengine's `HistoryBuffer` only, and numpy's functions make arrays of numbers only.

    Returns:
        The objects by their names in a pickle.
    """
    functions: dict[str, Callable] = {
        "builtins.getattr": _statistic,
        "_codecs.encode": _encode,
        "numpy.dtype": _number_type,
        **{f"numpy.{core}.multiarray._reconstruct": _empty_array for core in ("core", "_core")},
        **{f"numpy.{core}.multiarray.scalar": _number for core in ("core", "_core")},
    }
    classes = [HistoryBuffer, ConfigDict, np.ndarray, Counter, set, frozenset, slice, complex, bytearray]
    classes += [kind for kind in {type(np.dtype(code)) for code in _NUMBERS} if kind is not np.dtype]
    named = {f"{each.__module__}.{each.__qualname__}": each for each in classes}
    return named | {name: _renamed(function, name) for name, function in functions.items()}


def _renamed(function: Callable, name: str) -> Callable:
    """Returns a function of another name, by which torch's allow-list finds it."""

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, _, call.__name__ = name.rpartition(".")
    call.__qualname__ = call.__name__
    return call


def _statistic(owner: type, name: str) -> Callable:
    if owner is not HistoryBuffer or name not in _OWN_STATISTICS:
        raise pickle.UnpicklingError(f"Unsupported function getattr({owner!r}, {name!r})")
    return getattr(HistoryBuffer, name)


def _encode(text: str, codec: str = "latin1") -> bytes:
    if codec != "latin1":
        raise pickle.UnpicklingError(f"Unsupported function encode of {codec!r}")
    return codecs.encode(text, "latin1")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError(f"Unsupported class {kind!r} of shape {shape!r}")
    return np.ndarray((0,), np.int8)


def _number_type(code: str, *flags: Any) -> np.dtype:
    dtype = np.dtype(code, *flags)
    if dtype.char not in _NUMBERS:
        raise pickle.UnpicklingError(f"Unsupported class {dtype!r}")
    return dtype


def _number(dtype: np.dtype, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype, 1)[0]


@cache
def _restricted_pickle() -> SimpleNamespace:
    """Returns a replacement of the module `pickle` for torch before 2.4, which has no allow-list of its own."""
    from torch import _weights_only_unpickler

    allowed = _weights_only_unpickler._get_allowed_globals() | allow_list()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            module = module.replace("__builtin__", "builtins")  # Python 2's name, which pickles of protocol 2 have.
            if f"{module}.{name}" not in allowed:
                raise pickle.UnpicklingError(f"Unsupported global: GLOBAL {module}.{name}")
            return allowed[f"{module}.{name}"]

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    return SimpleNamespace(__name__="pickle", Unpickler=Unpickler, load=load)
