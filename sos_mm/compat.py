"""The installed OpenMMLab lineage, and whether its versions are among those that this package was tested with.

OpenMMLab's packages exist twice: the originals, and the maintained ``onedl-*`` forks. Both have the same import names,
so they cannot be distinguished by ``import`` and must not be installed together. The originals with an older torch, as
in the most common mmdet codebases, are a third lineage: ``classic``, without mmseg. Errors are raised as RuntimeError:
mmengine catches ImportError while it reads a config, and hides its message.
"""

import logging
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import StringIO


@dataclass(frozen=True)
class Lineage:
    """The distributions of one lineage: import name -> (distribution name, tested version range)."""

    name: str
    packages: dict[str, tuple[str, str]]

    def installed(self) -> dict[str, str]:
        """Returns the versions of the installed packages by import name."""
        versions: dict[str, str] = {}
        for module, (distribution, _) in self.packages.items():
            # mmcv without compiled operators is a distribution with another name.
            for name in (distribution, f"{distribution}-lite"):
                try:
                    versions.setdefault(module, version(name))
                except PackageNotFoundError:
                    continue
        return versions


_ORIGINALS = {
    "mmengine": ("mmengine", ">=0.10.7,<0.11"),
    "mmcv": ("mmcv", ">=2.1.0,<2.2"),
    "mmdet": ("mmdet", ">=3.3.0,<3.4"),
}
LINEAGES = (
    Lineage(
        "onedl",
        {
            "mmengine": ("onedl-mmengine", ">=0.10.12,<0.11"),
            "mmcv": ("onedl-mmcv", ">=2.3.6,<2.4"),
            # From 3.4.6 on the decoder of DINO is twice as wide, and published checkpoints no longer fit.
            "mmdet": ("onedl-mmdetection", ">=3.4.5,<3.4.6"),
            "mmseg": ("onedl-mmsegmentation", ">=1.4.2,<1.5"),
        },
    ),
    Lineage("openmmlab", {**_ORIGINALS, "mmseg": ("mmsegmentation", ">=1.2.2,<1.3")}),
)
# The originals, where torch is older than the saliency side needs it.
CLASSIC = Lineage("classic", _ORIGINALS)
_CLASSIC_TORCH = "<2.2"


def installed_version(distribution: str) -> str | None:
    """Returns the version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def find_lineage() -> Lineage:
    """Finds the lineage that is installed.

    Raises:
        RuntimeError: If neither the forks nor the originals are installed, or both are (even in part).
    """
    found = [lineage for lineage in LINEAGES if lineage.installed()]
    if not found:
        raise RuntimeError(
            "No OpenMMLab packages were found: in a checkout of sos_mm, install the maintained forks with "
            "`pip install -e '.[onedl]'` or the originals with `pip install -e '.[openmmlab]'`."
        )
    if len(found) > 1:
        listed = "; ".join(
            ", ".join(f"{lineage.packages[module][0]} {number}" for module, number in lineage.installed().items())
            for lineage in found
        )
        raise RuntimeError(
            f"Both lineages of OpenMMLab are installed ({listed}), and they overwrite each other's files: "
            "make a fresh environment with only one of them."
        )
    return CLASSIC if found[0].name == "openmmlab" and _has_old_torch() else found[0]


def _has_old_torch() -> bool:
    try:
        installed = version("torch")
    except PackageNotFoundError:
        return False
    from packaging.specifiers import SpecifierSet  # mmengine brings it.

    return installed in SpecifierSet(_CLASSIC_TORCH)


def check_openmmlab(*modules: str) -> Lineage:
    """Checks that some of ``mmengine``, ``mmcv``, ``mmdet`` and ``mmseg`` are installed in tested versions.

    Raises:
        RuntimeError: If one is missing or outside its range, torch is too old for one, or both lineages are installed.
    """
    lineage = find_lineage()
    from packaging.specifiers import SpecifierSet  # After the line above: it is a dependency of mmengine.

    installed = lineage.installed()
    for module in modules:
        if module not in lineage.packages:
            raise RuntimeError(
                f"`{module}`, and with it the saliency side, needs newer versions than torch {version('torch')}: get "
                "them with `pip install -e '.[openmmlab]'`, or those of the maintained forks with "
                "`pip install -e '.[onedl]'`, in a checkout of sos_mm and a fresh environment of Python 3.11."
            )
        distribution, tested = lineage.packages[module]
        if module not in installed:
            extra = lineage.name + ("-detection" if module == "mmdet" else "")
            raise RuntimeError(
                f"`{module}` is not installed: get it with `pip install -e '.[{extra}]'` in a checkout of sos_mm."
            )
        if installed[module] not in SpecifierSet(tested):
            raise RuntimeError(
                f"{distribution} must be {tested}, but is {installed[module]}: "
                f"`pip install '{distribution}{tested}'` in this environment."
            )
    return lineage


def import_quietly(*modules: str) -> None:
    """Imports modules and redirects what they print from the terminal to a log at level DEBUG.

    The maintained forks print a line for each optional library that is not installed.

    Raises:
        ImportError: If one cannot be imported.
    """
    with redirect_stdout(StringIO()) as printed:
        for module in modules:
            import_module(module)
    if printed.getvalue():
        logging.getLogger(__name__).debug("Importing %s printed: %s", ", ".join(modules), printed.getvalue().rstrip())


def restore_numpy_aliases() -> None:
    """Restores ``np.float`` and ``np.long``, which numpy 1.24 removed.

    The lvis package uses the first. mmdet's text transforms use the second, which numpy 2 has again: the integer of
    C's type long. Call it before `lvis.LVISEval`, mmdet's LVIS metrics or its ODVG pipelines run.
    """
    import numpy as np

    # Set through the dict: `hasattr` warns, and raises if numpy guards the name.
    np.__dict__.setdefault("float", float)
    np.__dict__.setdefault("long", np.int_)
