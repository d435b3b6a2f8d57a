"""Input validation: dependencies, folders and options, with errors that name the remedy."""

import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Any

# Keys of a saliency model's `test_cfg`, present name by old name: they are diffusers' own.
RENAMED_TEST_CFG = {"steps": "num_inference_steps", "ensemble": "ensemble_size"}


# Exceptions whose text tells a user what is wrong: what input, files and the environment cause, and what this package
# raises about them. Others are faults of code, or need an explanation first.
USER_ERRORS = (ImportError, OSError, RuntimeError, ValueError)


class FaultyInputError(ValueError):
    """An error about one of many inputs, which cannot be used.

    Args:
        reason: Short reason without names, by which such errors are counted, such as ``"cannot be decoded"``.
        text: The complete message: which input, why, and what to do.
    """

    def __init__(self, reason: str, text: str):
        super().__init__(text)
        self.reason = reason

    def __reduce__(self):
        return FaultyInputError, (self.reason, str(self))


def require(module: str, needed_for: str, remedy: str) -> ModuleType:
    """Imports an optional dependency.

    Raises:
        ImportError: If it cannot be imported; the message names what needs it and how to get it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{needed_for} needs `{module}`, which cannot be imported ({error}): {remedy}.") from error


def require_posix(what: str) -> None:
    """Raises RuntimeError, with the remedy, on Windows, which lacks file locks, `os.pread` and the syncing of folders.

    Args:
        what: What needs them, such as ``"Composing a data set"``.
    """
    if sys.platform == "win32":
        raise RuntimeError(
            f"{what} needs Linux or macOS, but this is Windows: run it in the Windows Subsystem for Linux (WSL)."
        )


def check_folder(path: str | Path, what: str) -> Path:
    """Returns the path of a folder after checking that it exists.

    Raises:
        FileNotFoundError: If it does not exist.
        NotADirectoryError: If it is a file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{what} must be an existing folder, but {path} does not exist.")
    if not path.is_dir():
        raise NotADirectoryError(f"{what} must be a folder, but {path} is a file.")
    return path


def check_choice(name: str, value: object, choices: Iterable) -> None:
    """Raises ValueError, with the nearest choice, unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices:
        hint = did_you_mean(value, choices)
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, but got {value!r}.{hint}")


def did_you_mean(value: object, choices: Iterable, cutoff: float = 0.6) -> str:
    """Returns the end of an error message about an unknown name, which asks for the nearest one; '' if none is near.

    >>> did_you_mean("synthesise", ["browse", "synthesize"]), did_you_mean("compose", ["browse"])
    (" Did you mean 'synthesize'?", '')

    Args:
        value: The unknown name.
        choices: The known ones.
        cutoff: Least similarity of a near one, from 0 to 1.
    """
    near = get_close_matches(str(value), [str(choice) for choice in choices], n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""


def few(names: Collection[str]) -> str:
    """Formats up to three names, and the number of further names, for an error message."""
    shown = ", ".join(map(repr, sorted(names)[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def one_name(name: str, value: Any, old_name: str, old_value: Any) -> Any:
    """Returns the value of a setting that may be given under its name or under its old name.

    Raises:
        ValueError: If it is given under both.
    """
    if old_value is None:
        return () if value is None else value
    if value:
        raise ValueError(f"`{old_name}` is the old name of `{name}`, but both are given: leave `{old_name}` out.")
    return old_value


def present_names(settings: Mapping[str, Any], renamed: Mapping[str, str], place: str = "") -> dict[str, Any]:
    """Returns settings under their present names, where some may be given under their old ones.

    Args:
        settings: The settings.
        renamed: Present name by old name.
        place: Prefix of the names in error messages, such as 'test_cfg.'.

    Raises:
        ValueError: If a setting is given under both names.
    """
    for old, new in renamed.items():
        if old in settings and new in settings:
            raise ValueError(
                f"`{place}{old}` and `{place}{new}` are two names of one setting, but both are given (one may come "
                f"from a config that is inherited): give `{place}{new}` alone."
            )
    return {renamed.get(key, key): value for key, value in settings.items()}


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError unless ``value`` is a number, which True and False are not, and ``low <= value <= high``."""
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"`{name}` must be in [{low}, {high}], but got {value!r}.")


def check_integer(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError unless ``value`` is an integer, which True and False are not, and ``low <= value <= high``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"`{name}` must be an integer in [{low}, {high}], but got {value!r}.")


def check_pair(name: str, pair: Sequence[float], low: float, high: float) -> None:
    """Raises ValueError unless ``pair`` is two numbers in [low, high], the first not above the second."""
    is_pair = isinstance(pair, list | tuple) and len(pair) == 2
    numbers = is_pair and all(isinstance(each, Real) and not isinstance(each, bool) for each in pair)
    if not numbers or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"`{name}` must be a pair low <= high in [{low}, {high}], but got {pair!r}.")


def check_boolean(name: str, value: bool) -> None:
    """Raises ValueError unless ``value`` is True or False: a text such as 'no' would count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be true or false, but got {value!r}.")


def check_text(name: str, value: str) -> None:
    """Raises ValueError unless ``value`` is a text, which may be empty."""
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a text, but got {value!r}.")


def check_fields(name: str, config: Mapping[str, Any], cls: type) -> None:
    """Raises ValueError, with the nearest field, unless ``config`` is a dict whose keys are fields of a dataclass."""
    if not isinstance(config, Mapping):
        raise ValueError(f"`{name}` must be a dict, but got {config!r}.")
    known = [each.name for each in fields(cls)]
    for key in config:
        check_choice(f"key of {name}", key, known)


def check_names(name: str, value: Collection[str]) -> None:
    """Raises ValueError unless ``value`` is a list of names: a single text would count as a list of its letters."""
    is_list = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    if not is_list or not all(isinstance(each, str) and each.strip() for each in value):
        raise ValueError(f"`{name}` must be a list of names, such as ['dog', 'cat'], but got {value!r}.")


def check_is_not_read(name: str, out: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Checks that a file that is to be written is none of those that are read, which it would replace.

    Args:
        name: What the command line calls the file, for the error.
        out: The file.
        inputs: The files and folders that are read; None for one that was not given.

    Raises:
        FileExistsError: If it is one of them.
    """
    for each in inputs:
        if each is not None and Path(each).resolve() == Path(out).resolve():
            raise FileExistsError(
                f"`{name}` must be another file than those that are read, but {each} is both: name another."
            )


def writable_folder(path: str | Path, what: str) -> Path:
    """Creates a folder if it does not exist, and checks that it can be written.

    Raises:
        NotADirectoryError: If the path, or a part of it, is a file.
        PermissionError: If it cannot be written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Without a name of its own, so that nothing stays where a process is killed meanwhile.
        tempfile.TemporaryFile(dir=path).close()
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(f"{what} must be a folder, but {error.filename} is a file: choose another.") from error
    except OSError as error:
        raise PermissionError(f"{what} cannot be written: {error}. Choose another folder.") from error
    return path
