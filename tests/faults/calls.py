"""Command lines of tools that read files other than annotations, by the folder of inputs."""

from pathlib import Path

from tests.faults.inputs import _index


def index_folder(folder: Path) -> list:
    return _index(folder, "type=folder", f"root={folder / 'segments'}")


def index_release(folder: Path) -> list:
    return _index(folder, "type=release", f"root={folder / 'release'}", f"metadata={folder / 'metadata.json'}")


def browse_saliency(folder: Path) -> list:
    return ["browse", folder / "saliency", "--out", folder / "page"]


def check(folder: Path) -> list:
    return ["check", folder / "saliency"]


def cutout(*arguments: Path) -> list:
    *inputs, folder = arguments
    return ["cutout", *inputs, folder / "results", "--onnx", folder / "net.onnx"]
