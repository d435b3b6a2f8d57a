"""Builds cutters from dicts, as configs hold them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sos_mm.checks import few
from sos_mm.cutouts.onnx_cutter import OnnxCutter
from sos_mm.registry import Registry
from sos_mm.segments.cutter import Cutter

CUTTERS: Registry[Cutter] = Registry("cutter.type", "key of {type}")
# Decorator that registers a class for `build_cutter` under its name.
register_cutter = CUTTERS.register
register_cutter(OnnxCutter)


def build_cutter(config: Mapping[str, Any]) -> Cutter:
    """Builds a cutter from a dict.

    Args:
        config: ``type`` and the options of that type: 'OnnxCutter', another class registered by `register_cutter`, or
            a dotted name such as 'sos_mm.SODInferencer', whose module is imported.

    Raises:
        ValueError: If the type or an option is unknown, or the class is no cutter.
        ImportError: If a dotted name cannot be imported.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"A cutter must be described by a dict with a `type`, but got {config!r}.")
    name = config.get("type")
    if not isinstance(name, str) or "." not in name:
        return CUTTERS.build(config)
    module, _, attribute = name.rpartition(".")
    try:
        cls = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ImportError(f"The cutter {name!r} cannot be imported: {error}.") from error
    options = {key: value for key, value in config.items() if key != "type"}
    try:
        built = cls(**options)
    except TypeError as error:
        raise ValueError(f"The cutter {name!r} cannot be built from {few(list(options))}: {error}.") from error
    if not isinstance(built, Cutter):
        raise ValueError(f"The cutter {name!r} must have a method `cut`, but has none.")
    return built
