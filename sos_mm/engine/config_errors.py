"""Explains what fails while the parts of a config are built: which setting of the config it is about."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from mmengine.config import Config
from mmengine.registry import build_from_cfg

from sos_mm.checks import USER_ERRORS

_UNEXPECTED = re.compile(r"(?:(\w+)\.)?\w+\(\) got an unexpected keyword argument '(\w+)'")
_NO_NUMBER = re.compile(r"(?:invalid literal for int\(\) with base \d+|could not convert string to float): '(.*)'$")
_UNREGISTERED = re.compile(r"'?(\S+) is not in the (\S+(?: \S+)*?) registry")


@contextmanager
def naming_settings(config: Config) -> Iterator[None]:
    """Raises a ValueError that names the setting where a part of a config cannot be built.

    Args:
        config: The complete config.

    Raises:
        ValueError: In place of TypeError, KeyError and others that Python, torch and mmengine raise, and of what Python
            says of a text that is no number.
    """
    try:
        yield
    except Exception as error:
        # Python's own on texts that are no numbers name no setting.
        if isinstance(error, USER_ERRORS) and not _NO_NUMBER.match(str(error)):
            raise
        raise ValueError(_explained(error, dict(config.items()))) from error


def _explained(error: Exception, config: Mapping[str, Any]) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    place, part = _place(config, _part_of(error))
    if found := _NO_NUMBER.match(text):
        paths = [path for path, value in settings_in(config) if value == found[1]]
        if len(paths) == 1:
            return f"`{paths[0]}` must be a number, but got {found[1]!r}."
    if found := _UNEXPECTED.search(text):
        owner, key = found[1] or part.get("type"), found[2]
        setting = _path_of(key, config, place)
        return f"The config sets `{setting}`, but {owner} takes no `{key}`: remove it, or correct its name."
    if found := _UNREGISTERED.search(text):
        setting = f"{place}.type" if place else "type"
        return (
            f"`{setting}` must be the name of a class in mmengine's registry {found[2]!r}, but got {found[1]!r}: "
            "correct it, or import the module that registers it by `custom_imports`."
        )
    about = f"`{place}` of the config" if place else "The config"
    text = f"{type(error).__name__}: {text.rstrip('.')}"
    return f"{about} cannot be used: {text}. Correct its settings (SOS_MM_DEBUG=1 shows where it fails)."


def _part_of(error: Exception) -> Mapping[str, Any]:
    """Returns the innermost part of a config that was being built at an exception; empty if there is none."""
    part: Mapping[str, Any] = {}
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is build_from_cfg.__code__ and isinstance(frame.f_locals["cfg"], Mapping):
            part = frame.f_locals["cfg"]
    return part


def _place(config: Mapping[str, Any], part: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Finds a part in a config; it may have been given further arguments since.

    Returns:
        Its dotted path, empty if it is not found, and itself.
    """
    parts = [(path, each) for path, each in settings_in(config) if isinstance(each, Mapping) and "type" in each]
    same = [path for path, each in parts if each == part] or [path for path, each in parts if _holds(part, each)]
    return (same[0] if same else ""), part


def _holds(part: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Returns whether a mapping has all keys of another one, with equal values."""
    return all(key in part and part[key] == value for key, value in other.items())


def _path_of(key: str, config: Mapping[str, Any], place: str) -> str:
    """Returns the dotted path of the setting with a key: below a place, or else the first one in the config."""
    paths = [path for path, _ in settings_in(config) if path.rsplit(".", 1)[-1] == key]
    return next((path for path in paths if path.startswith(f"{place}.")), paths[0] if paths and not place else key)


def settings_in(part: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted path and value of each setting in a part of a config, outer ones first.

    Args:
        part: The part; anything but a mapping or a list has no settings.
        above: Path of the part, with a dot at its end.
    """
    pairs = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list | tuple) else ()
    for key, value in pairs:
        yield f"{above}{key}", value
        yield from settings_in(value, f"{above}{key}.")
