"""ONNX files that are no networks of one image."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import world
from tests.faults.calls import cutout
from tests.faults.inputs import Case
from tests.faults.listings import as_without
from tests.faults.spoiling import cut_short, folder_at, replaced

NETWORKS: list[tuple[str, dict, str]] = [
    ("int64", {"kind": "int64"}, "int64"),
    ("batch of two", {"shape": [2, 3, 16, 16]}, "one image"),
    ("two inputs", {"inputs": 2}, "one image"),
    ("one channel", {"shape": [1, 1, 16, 16]}, "one image"),
    ("three dimensions", {"shape": [3, 16, 16]}, "one image"),
    ("any size", {"shape": [1, 3, "h", "w"]}, "size"),
    ("NaN", {"nan": True}, "no numbers"),
    ("one number", {"pooled": True}, "map"),
    ("metadata that are no JSON", {"metadata": "{"}, "metadata"),
    ("metadata that are a list", {"metadata": "[]"}, "metadata"),
    ("metadata of other types", {"metadata": '{"mean": "0"}'}, "metadata"),
    ("a switch that is text", {"metadata": '{"stretch": "no"}'}, "metadata"),
]


def network_cases() -> Iterator[Case]:
    """Yields ONNX files that are no networks of one image."""

    def cut(folder: Path) -> list:
        return cutout(folder / "photos", folder)

    for what, changes, says in NETWORKS:
        yield Case("networks", what, "cutout", _network(changes), cut, says=says)
    for what, content in (("empty", b""), ("a text", b"hello"), ("JSON", b"[1, 2]")):
        yield Case("networks", what, "cutout", replaced("net.onnx", content), cut, says=r"net\.onnx")
    yield Case("networks", "cut short", "cutout", cut_short("net.onnx", 0.5), cut, says=r"net\.onnx")
    yield Case("networks", "a folder", "cutout", folder_at("net.onnx"), cut, says=r"net\.onnx")
    yield Case("networks", "missing", "cutout", lambda folder: (folder / "net.onnx").unlink(), cut, says=r"net\.onnx")
    for what, changes in (("float16", {"kind": "float16"}), ("any batch", {"shape": ["n", 3, 16, 16]})):
        yield Case("networks", what, "cutout", _network(changes), cut, "accept", right=as_without("cutout"))


def _network(changes: dict) -> Callable[[Path], object]:
    return lambda folder: world.network(folder / "net.onnx", **changes)
