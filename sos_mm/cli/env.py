"""Prints the versions of all packages, which parts are ready to use, and how to get what others need."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

import sos_mm
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.compat import check_openmmlab, find_lineage, installed_version

DISTRIBUTIONS = [
    *("numpy", "opencv-python", "scikit-image", "torch", "torchvision", "diffusers", "transformers", "timm"),
    *("lvis", "pycocotools", "mmengine", "mmcv", "mmdet", "mmsegmentation"),
    *("onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "onedl-mmsegmentation"),
]


def compiled_operators() -> None:
    """Raises RuntimeError unless mmcv has its compiled operators."""
    try:
        importlib.import_module("mmcv._ext")
    except ImportError as error:
        raise RuntimeError(
            f"mmcv was installed without compiled operators, or for another torch ({error}): "
            "`bash tools/run_tests.sh` makes an environment with them, and tools/environment.sh shows how"
        ) from error


def importable(*modules: str, extra: str) -> Callable[[], None]:
    """Returns a check that imports modules.

    Args:
        modules: Names of the modules.
        extra: The extra of setup.cfg that installs them; ``{lineage}`` stands for the installed lineage.
    """

    def check() -> None:
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception as error:  # A broken package may raise any error.
                remedy = f"`pip install -e '.[{extra.format(lineage=lineage_name())}]'`"
                raise RuntimeError(f"`{module}` cannot be imported ({error}): {remedy}") from error

    return check


def lineage_name() -> str:
    """Returns the name of the installed lineage, or that of the maintained forks if none is installed."""
    try:
        return find_lineage().name
    except RuntimeError:
        return "onedl"


PARTS: dict[str, list[Callable[[], object]]] = {
    "segments, composition, synthesis": [importable("numpy", "cv2", extra="{lineage}")],
    "backgrounds of the bundled sample": [importable("skimage", extra="sample")],
    "downloads of released sets": [importable("huggingface_hub", "py7zr", extra="hub")],
    "saliency": [
        lambda: check_openmmlab("mmengine", "mmcv", "mmseg"),
        importable("torch", "diffusers", "timm", "sos_mm.saliency", extra="{lineage}"),
    ],
    "detection": [
        lambda: check_openmmlab("mmengine", "mmcv", "mmdet"),
        compiled_operators,
        importable("mmdet", "lvis", "pycocotools", extra="{lineage}-detection"),
    ],
}


def state(checks: list[Callable[[], object]]) -> str:
    """Returns the error of the first check that fails, or 'ready'."""
    for check in checks:
        try:
            check()
        except (ImportError, RuntimeError) as error:
            return f"missing: {error}"
    return "ready"


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line, which has no arguments."""
    return new_parser("env", __doc__, prog).parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prints the report."""
    parse_args(argv, prog)
    print(f"sos_mm: {sos_mm.__version__} ({sos_mm.__file__})")
    try:
        print(f"OpenMMLab lineage: {find_lineage().name}")
    except RuntimeError as error:
        print(f"OpenMMLab lineage: {error}")
    try:
        from mmengine.utils.dl_utils import collect_env

        for name, value in collect_env().items():
            print(f"{name}: {value}")
    except ImportError as error:
        print(f"Python: {sys.version}\nGPU and compilers: not looked at ({error})")
    print("\nPackages")
    for distribution in DISTRIBUTIONS:
        print(f"  {distribution:<22}{installed_version(distribution) or '-'}")
    print("\nParts")
    for part, checks in PARTS.items():
        print(f"  {part}: {state(checks)}")
