"""Reads config files of OpenMMLab's kind, with errors that name the file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sos_mm.checks import few, require

_BASE_REMEDY = (
    "A relative `_base_` begins in the folder of the file; a shipped config is inherited by "
    '`_base_ = __import__("sos_mm").get_config("synthesis/fc_like.py")`.'
)


def config_module():
    """Imports mmengine's config module, which does not import torch.

    Raises:
        ImportError: If it is not installed.
    """
    remedy = "pip install onedl-mmengine (or mmengine, if your other OpenMMLab packages are the original ones)"
    return require("mmengine.config", "Reading a recipe file", remedy)


def open_config(path: str | Path, what: str) -> Any:
    """Reads a config file.

    Args:
        path: A ``.py``, ``.json`` or ``.yaml`` file; ``_base_`` works as in any config.
        what: What it must be, such as "The recipe", for errors.

    Returns:
        The ``mmengine.config.Config``.

    Raises:
        ImportError: If mmengine, or what the file imports, is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    if not Path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileNotFoundError(f"{what} must be a config file, but {path} {state}.")
    config_class = config_module().Config
    try:
        return config_class.fromfile(str(path))
    except ImportError:
        raise
    except Exception as error:
        # A config file is a Python program, which may raise any error.
        text = f"{path} must be a config file, but cannot be read: {error} ({type(error).__name__})."
        hint = f" {_BASE_REMEDY}" if isinstance(error, FileNotFoundError) else ""
        raise ValueError(text + hint) from error


def open_model_config(path: str | Path) -> Any:
    """Reads the config file of a model; takes, returns and raises what `open_config` does.

    Raises:
        ValueError: Also if it sets no ``model``, or one without a ``type``.
    """
    config = open_config(path, "The config")
    if "model" not in config:
        raise ValueError(f"{path} must be the config of a model, but sets no `model`: give another file.")
    if not isinstance(config.model, Mapping) or "type" not in config.model:
        raise ValueError(f"{path} must be the config of a model, but its `model` has no `type`: name the class there.")
    return config


def check_sets(path: str | Path, config: Mapping[str, Any], needed: Sequence[str], what_for: str) -> None:
    """Raises ValueError, which names all that is missing, unless a config sets what is needed.

    Args:
        path: Its file, or what it is, for the error.
        config: The config; a setting that is None is missing.
        needed: Names of settings.
        what_for: What needs them, such as "to train".
    """
    missing = ", ".join(f"`{name}`" for name in needed if config.get(name) is None)
    if missing:
        raise ValueError(f"{path} must set {missing} {what_for}, but does not: add what is missing.")


@contextmanager
def naming_file(path: str | Path) -> Iterator[None]:
    """Names a config file in errors about its settings, which know their names alone.

    Raises:
        ValueError: If the block does.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_settings(path: str | Path, config: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Checks that most settings of a config file are those of its kind: otherwise another file was meant.

    Args:
        path: The file, for errors.
        config: Its settings.
        known: Names of settings of the kind.
        what: What the file must be and sets, and how to get one, for errors.

    Raises:
        ValueError: If it has none of them, or more that are unknown.
    """
    unknown = [key for key in config if key not in known]
    if len(unknown) == len(config) or 2 * len(unknown) > len(config):
        held = f"sets {few(list(config))}" if config else "sets nothing"
        raise ValueError(f"{path} must be {what}; but it {held}: give another file.")
