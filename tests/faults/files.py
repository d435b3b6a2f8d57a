"""Bad files other than annotations: images, masks, listings of folders, videos, networks, names, manifests."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.faults import world
from tests.faults.inputs import READERS, Argv, Case, _browse, _index, _nothing, _synthesize
from tests.helpers.commands import Ending

_OF_PIXELS = ("validate", "index", "browse", "refer")


def _saved_by_pillow(path: Path, kind: str, orientation: int, size: tuple[int, int] = world.SIZE) -> None:
    """Writes a photograph with an EXIF orientation."""
    from PIL import Image

    exif, file = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Image.fromarray(world.photograph(size)).save(file, kind, exif=exif)
    path.write_bytes(file.getvalue())


def _enlarged(folder: Path) -> None:
    world.save(folder / "photos/1.jpg", cv2.resize(world.photograph(), None, fx=2, fy=2))


def _turned(kind: str, orientation: int) -> Callable[[Path], object]:
    return lambda folder: _saved_by_pillow(folder / "photos/1.jpg", kind, orientation)


def _replaced(name: str, content: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return spoil


def _cut(name: str, share: float) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return spoil


def _folder_at(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir(parents=True)

    return spoil


# What is wrong with a photograph, and what the message names. `validate` reads headers alone.
PHOTOGRAPHS: list[tuple[str, Callable[[Path], object], str, tuple[str, ...]]] = [
    ("enlarged since", _enlarged, r"1\.jpg", _OF_PIXELS),
    *(
        (f"{kind} turned by EXIF {turn}", _turned(kind, turn), r"1\.jpg.*EXIF", _OF_PIXELS)
        for kind in ("JPEG", "PNG")
        for turn in (5, 6, 7, 8)
    ),
    *((f"WebP turned by EXIF {turn}", _turned("WEBP", turn), r"1\.jpg.*EXIF", _OF_PIXELS[1:]) for turn in (2, 3, 6)),
    ("empty", _replaced("photos/1.jpg", b""), r"1\.jpg", _OF_PIXELS),
    ("a text", _replaced("photos/1.jpg", b"hello"), r"1\.jpg", _OF_PIXELS),
    ("a GIF", _replaced("photos/1.jpg", b"GIF89a" + b"\0" * 50), r"1\.jpg", _OF_PIXELS),
    ("a folder", _folder_at("photos/1.jpg"), r"1\.jpg", _OF_PIXELS),
    ("cut short", _cut("photos/1.jpg", 0.5), r"1\.jpg", _OF_PIXELS[1:]),
    (
        "of 16 bits with small values",
        lambda folder: (folder / "photos/1.jpg").write_bytes(
            cv2.imencode(".png", world.photograph().astype(np.uint16))[1].tobytes()
        ),
        r"1\.jpg.*16 bits",
        _OF_PIXELS[1:],
    ),
]


def image_cases() -> Iterator[Case]:
    """Yields photographs that are not those that were annotated, or are none."""
    for what, spoil, says, tools in PHOTOGRAPHS:
        for tool, argv in READERS["coco"].items():
            if tool.split()[0] in tools:
                skips = "--broken skip" in tool
                expected = "find" if tool == "validate" else "skip" if skips else "refuse"
                yield Case("photographs", what, tool, spoil, argv, expected, says)
    yield Case(
        "photographs",
        "turned by EXIF and annotated so",
        "index",
        _turned_and_annotated,
        READERS["coco"]["index"],
        "accept",
        right=lambda folder, ended: None if "2 segments" in ended.out else ended.out,
    )
    for kind, suffix in (("PNG", ".png"), ("WEBP", ".webp")):
        yield Case(
            "photographs",
            f"{kind} cut-out turned by EXIF",
            "index",
            _turned_cut_out(kind, suffix),
            _index_folder,
            says=f"0{suffix}.*EXIF",
        )


def _turned_and_annotated(folder: Path) -> None:
    """Annotates the photograph 1 as it is shown: a quarter turned."""
    content = world.coco()
    _saved_by_pillow(folder / "photos/1.jpg", "JPEG", 6)
    content["images"] = [{"id": 1, "file_name": "1.jpg", "height": world.SIZE[1], "width": world.SIZE[0]}]
    content["annotations"] = content["annotations"][:2]
    for each, (x, y) in zip(content["annotations"], ((20, 20), (20, 70)), strict=True):
        each |= {"bbox": [x, y, 30, 30], "area": 900}
        each["segmentation"] = [[x, y, x + 30, y, x + 30, y + 30, x, y + 30]]
    world.write_json(folder / "coco.json", content)


def _turned_cut_out(kind: str, suffix: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x112] = 6
        (folder / "segments/ball/0.png").unlink()
        rgba = cv2.cvtColor(world.cut_out(), cv2.COLOR_BGRA2RGBA)
        Image.fromarray(rgba).save(folder / f"segments/ball/0{suffix}", kind, exif=exif)

    return spoil


def _index_folder(folder: Path) -> list:
    return _index(folder, "type=folder", f"root={folder / 'segments'}")


def _index_release(folder: Path) -> list:
    return _index(folder, "type=release", f"root={folder / 'release'}", f"metadata={folder / 'metadata.json'}")


def _browse_saliency(folder: Path) -> list:
    return ["browse", folder / "saliency", "--out", folder / "page"]


def _check(folder: Path) -> list:
    return ["check", folder / "saliency"]


def _mask(pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: world.save(folder / "saliency/masks/1.png", pixels)


def _grey(value: int, dtype: type) -> np.ndarray:
    return world.mask_of(world.BOXES[1][0]).astype(dtype) * dtype(value)


MASKS: list[tuple[str, Callable[[Path], object], str]] = [
    ("16 bits of 0 and 1", _mask(_grey(1, np.uint16)), r"1\.png"),
    ("16 bits of 0 and 255", _mask(_grey(255, np.uint16)), r"1\.png"),
    ("16 bits of 0 and 2000", _mask(_grey(2000, np.uint16)), r"1\.png"),
    ("8 bits of 0 and 1", _mask(_grey(1, np.uint8)), r"1\.png"),
    ("in colour", _mask(np.dstack([_grey(255, np.uint8)] * 2 + [_grey(0, np.uint8)])), r"1\.png"),
    ("of another size", _mask(_grey(255, np.uint8)[:50]), r"1\.(png|jpg)"),
    ("missing", lambda folder: (folder / "saliency/masks/1.png").unlink(), r"1\.jpg"),
    ("empty", _replaced("saliency/masks/1.png", b""), r"1\.png"),
    ("cut short", _cut("saliency/masks/1.png", 0.6), r"1\.png"),
    ("a folder", _folder_at("saliency/masks/1.png"), r"1\.(png|jpg)"),
    ("there twice", _replaced("saliency/masks/1.jpg", b"x"), r"1\.(png|jpg)"),
    ("a GIF beside", _replaced("saliency/masks/3.gif", b"GIF89a"), r"3\.gif"),
]


def mask_cases() -> Iterator[Case]:
    """Yields saliency masks and panoptic maps that are none."""
    for what, spoil, says in MASKS:
        yield Case("masks", what, "browse", spoil, _browse_saliency, says=says)
        yield Case("masks", what, "check", spoil, _check, "find", says)
    right = Case("masks", "16 bits of 0 and 65535", "check", _mask(_grey(65535, np.uint16)), _check, "accept")
    yield right
    for what, pixels in (
        ("16 bits", np.zeros((*world.SIZE, 3), np.uint16) + 1),
        ("another size", np.zeros((50, 50, 3), np.uint8)),
        ("no segment", np.zeros((*world.SIZE, 3), np.uint8)),
    ):
        for tool in ("validate", "browse", "refer"):
            expected = "find" if tool == "validate" else "refuse"
            says = r"1\.(png|jpg)|image 1"
            spoil = _panoptic_map(pixels)
            yield Case("masks", f"panoptic map of {what}", tool, spoil, READERS["panoptic"][tool], expected, says)


def _panoptic_map(pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: world.save(folder / "panoptic/1.png", pixels)


# What lies beside inputs, by its path below a folder of them.
BESIDE: list[tuple[str, Callable[[Path], object]]] = [
    ("._photo.jpg", lambda root: _replaced("._1.jpg", b"Mac OS X")(root)),
    ("._photo.png", lambda root: _replaced("._1.png", b"Mac OS X")(root)),
    (".hidden/photo.png", lambda root: _replaced(".hidden/x.png", b"x")(root)),
    ("__MACOSX/photo.png", lambda root: _replaced("__MACOSX/x.png", b"x")(root)),
    ("__MACOSX/a/photo.jpg", lambda root: _replaced("__MACOSX/a/x.jpg", b"x")(root)),
    ("folder.jpg", _folder_at("folder.jpg")),
    ("folder.png", _folder_at("folder.png")),
    ("Thumbs.db", _replaced("Thumbs.db", b"x")),
]


def _backgrounds(folder: Path) -> list:
    world.write_recipe(folder, world.recipe() | {"backgrounds": {"type": "folder", "root": "{folder}/photos"}})
    return [*_synthesize(folder), "--num", "6"]


def _as_without(name: str) -> Callable[[Path, Ending], str | None]:
    """The result is that of the good inputs: the number of segments, images or pairs."""
    told = {
        "index folder": "2 segments in 2 categories, 0 skipped",
        "index release": "2 segments in 2 categories, 0 skipped",
        "cutout": ": 2 cut out",
        "check": "2 pairs, complete",
    }
    return lambda folder, ended: None if told.get(name, "") in ended.out else f"another result: {ended.out}"


LISTINGS: dict[str, tuple[str, Argv]] = {
    "index folder": ("segments/ball", _index_folder),
    "index folder's root": ("segments", _index_folder),
    "index release": ("release/ball/red_ball", _index_release),
    "backgrounds": ("photos", _backgrounds),
    "cutout": ("photos", lambda folder: _cutout(folder / "photos", folder)),
    "browse": ("saliency/images", _browse_saliency),
    "browse's root": ("saliency", _browse_saliency),
    "check": ("saliency/masks", _check),
}


def _cutout(*arguments: Path) -> list:
    *inputs, folder = arguments
    return ["cutout", *inputs, folder / "results", "--onnx", folder / "net.onnx"]


def listing_cases() -> Iterator[Case]:
    """Yields folders with files that are no inputs, which change nothing, and with images of kinds that are not read."""
    for tool, (where, argv) in LISTINGS.items():
        for what, put in BESIDE:
            if "root" in tool and what in ("folder.jpg", "folder.png") and "browse" not in tool:
                continue
            spoil = _below(where, put)
            name = tool.removesuffix("'s root")
            yield Case("listings", what, tool, spoil, argv, "accept", right=_as_without(name))
        if "root" in tool:
            continue
        for suffix in ("gif", "avif", "heic", "JXL"):
            spoil = _below(where, _replaced(f"x.{suffix}", b"x"))
            expected = "find" if tool == "check" else "refuse"
            yield Case("listings", f"x.{suffix}", tool, spoil, argv, expected, rf"x\.{suffix}")


def _below(where: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: put(folder / where)


def _video(path: Path, frames: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, world.SIZE[::-1])
    for _ in range(frames):
        writer.write(world.photograph())
    writer.release()


def video_cases() -> Iterator[Case]:
    """Yields inputs whose results would have one name, and videos that are none."""

    def made(*names: str) -> Callable[[Path], object]:
        return lambda folder: [_video(folder / name) for name in names]

    def cut(*names: str) -> Argv:
        return lambda folder: _cutout(*(folder / name for name in names), folder)

    yield Case(
        "outputs of one name",
        "two videos",
        "cutout",
        made("a/x.mp4", "b/x.mp4"),
        cut("a/x.mp4", "b/x.mp4"),
        says="x.mp4",
    )
    yield Case(
        "outputs of one name", "mp4 and avi", "cutout", made("x.mp4", "x.avi"), cut("x.mp4", "x.avi"), says="x.avi"
    )
    yield Case("outputs of one name", "one video twice", "cutout", made("x.mp4"), cut("x.mp4", "x.mp4"), says="x.mp4")
    yield Case(
        "outputs of one name",
        "a video and a folder of its name",
        "cutout",
        lambda folder: (_video(folder / "x.mp4"), world.save(folder / "in/x/000000.jpg", world.photograph())),
        cut("in", "x.mp4"),
        says="x.mp4",
    )
    yield Case(
        "outputs of one name",
        "photographs of one stem",
        "cutout",
        lambda folder: world.save(folder / "photos/1.png", world.photograph()),
        cut("photos"),
        says=r"1\.png",
    )
    yield Case(
        "outputs of one name",
        "OUT is the source",
        "convert",
        _nothing,
        lambda folder: ["convert", "mdetr-odvg", folder / "mdetr.json", folder / "mdetr.json"],
        says="mdetr.json",
    )
    yield Case(
        "outputs of one name",
        "OUT is --instances",
        "convert",
        _nothing,
        lambda folder: [
            "convert",
            "refs-odvg",
            folder / "refs.json",
            folder / "coco.json",
            "--instances",
            folder / "coco.json",
        ],
        says="coco.json",
    )
    yield Case(
        "outputs of one name",
        "subsets of one name",
        "subsets",
        _nothing,
        lambda folder: [
            "make_subsets.py",
            folder / "coco.json",
            "--out",
            folder / "parts",
            "--percents",
            "10",
            "10.0000001",
        ],
        says="percents",
    )
    yield Case(
        "outputs of one name",
        "--report is --verify",
        "refer",
        _nothing,
        lambda folder: [
            "refer",
            folder / "coco.json",
            "--no-pixels",
            "--verify",
            folder / "mdetr.json",
            "--report",
            folder / "mdetr.json",
        ],
        says="mdetr.json",
    )
    yield Case(
        "outputs of one name",
        "index over annotations",
        "index",
        _nothing,
        lambda folder: ["index", folder / "coco.json", "type=folder", f"root={folder / 'segments'}"],
        says="coco.json",
    )
    for what, content in (("empty", b""), ("a text", b"hello"), ("a folder's name", None)):
        spoil = _folder_at("x.mp4") if content is None else _replaced("x.mp4", content)
        yield Case("videos", what, "cutout", spoil, cut("x.mp4"), says=r"x\.mp4")
    yield Case("videos", "missing", "cutout", _nothing, cut("x.mp4"), says=r"x\.mp4")
    yield Case(
        "videos", "right", "cutout", made("x.mp4"), cut("x.mp4"), "accept", right=lambda folder, ended: None if ": 2 cut out" in ended.out else ended.out
    )  # fmt: skip


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
        return _cutout(folder / "photos", folder)

    for what, changes, says in NETWORKS:
        yield Case("networks", what, "cutout", _network(changes), cut, says=says)
    for what, content in (("empty", b""), ("a text", b"hello"), ("JSON", b"[1, 2]")):
        yield Case("networks", what, "cutout", _replaced("net.onnx", content), cut, says=r"net\.onnx")
    yield Case("networks", "cut short", "cutout", _cut("net.onnx", 0.5), cut, says=r"net\.onnx")
    yield Case("networks", "a folder", "cutout", _folder_at("net.onnx"), cut, says=r"net\.onnx")
    yield Case("networks", "missing", "cutout", lambda folder: (folder / "net.onnx").unlink(), cut, says=r"net\.onnx")
    for what, changes in (("float16", {"kind": "float16"}), ("any batch", {"shape": ["n", 3, 16, 16]})):
        yield Case("networks", what, "cutout", _network(changes), cut, "accept", right=_as_without("cutout"))


def _network(changes: dict) -> Callable[[Path], object]:
    return lambda folder: world.network(folder / "net.onnx", **changes)


def manifest_cases() -> Iterator[Case]:
    """Yields manifests and other files of a run that are damaged."""
    for what, content in (
        ("empty", b""), ("a list", b"[]"), ("cut short", b'{"recipe": {'), ("a number", b"5"), ("not UTF-8", b"\xff"),
        ("without a recipe", b"{}"), ("with another recipe", b'{"recipe": 5}'), ("null", b"null"),
        ("recipe without backgrounds", b'{"recipe": {"backgrounds": 5}}'),
    ):  # fmt: skip
        spoil = _replaced("made/manifest.json", content)
        yield Case("manifests", what, "synthesize", spoil, _synthesize, says="manifest")
        refer: Argv = lambda folder: [
            "refer",
            folder / "made/annotations/objects.jsonl",
            "--no-pixels",
            "--out",
            folder / "words",
        ]
        yield Case("manifests", what, "refer", _beside_objects(content), refer, says="manifest")
    for what, content in (("empty", b""), ("a list", b"[]"), ("cut short", b'{"seed"'), ("a number", b"5")):
        spoil = _replaced("made/.shards/run.json", content)
        yield Case("manifests", f"run.json {what}", "synthesize", spoil, _synthesize, says=r"run\.json")


def _beside_objects(content: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        _replaced("made/manifest.json", content)(folder)
        (folder / "made/annotations").mkdir()
        shutil.copy(folder / "objects.jsonl", folder / "made/annotations/objects.jsonl")

    return spoil


# Categories, which are names of folders: separators of lines, control characters, quotes, other scripts, markup.
ODD_NAMES = (
    "line\u2028separator", "paragraph\u2029separator", "next\x85line", "new\nline", "tab\there", "bell\x07", "delete\x7f",
    "quote\"d", "back\\slash", "colon: #1", "<script>alert(1)<script>", "emoji \U0001f34e", "\ufeffmark", "nul-like \x01",
    "café", "狗", "- dash", "yes", "null", "{{ braces }}", "%percent", "'single'", "trailing ", " leading", "\u200bzero width",
)  # fmt: skip


def _named_segments(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "segments/ball").rename(folder / "segments" / name)
        recipe = world.recipe() | {"formats": ["coco", "lvis", "yolo", "objects", "odvg", "panoptic", "referring"]}
        world.write_recipe(folder, recipe)

    return spoil


def name_cases() -> Iterator[Case]:
    """Yields names of categories that are right, however odd: every output must hold them."""
    for name in ODD_NAMES:
        argv: Argv = lambda folder: [*_synthesize(folder), "--report", folder / "page"]
        yield Case("names", repr(name), "synthesize", _named_segments(name), argv, "accept", right=_all_hold(name))
    for name in ("_", " ", "__ _"):
        yield Case("names", repr(name), "synthesize", _named_segments(name), _synthesize, says=r"[Cc]ategor")


def _all_hold(name: str) -> Callable[[Path, Ending], str | None]:
    """Every annotation file passes the validator and names the category, and so do YAML and the page."""
    import html
    import json

    import yaml

    from sos_mm.annotations.validate import Options, validate

    key = " ".join(name.replace("_", " ").lower().split())

    def right(folder: Path, ended: Ending) -> str | None:
        made = folder / "made"
        found = yaml.safe_load((made / "data.yaml").read_text(encoding="utf-8"))["names"]
        if sorted(found.values()) != sorted(["box", key]):
            return f"data.yaml names {found}"
        for file in ("instances.json", "lvis_v1.json", "panoptic.json", "odvg_detection.jsonl", "odvg_grounding.jsonl"):
            images = made if file == "lvis_v1.json" else made / "images"
            masks = made / "panoptic" if file == "panoptic.json" else None
            faults = validate(made / "annotations" / file, options=Options(images, masks))
            if faults.counts:
                return faults.describe()
        named = {each["name"] for each in json.loads((made / "annotations/instances.json").read_text())["categories"]}
        if named != {"box", key}:
            return f"instances.json names {named}"
        page = (folder / "page/index.html").read_text(encoding="utf-8")
        return None if html.escape("box") in page else "the page lacks a category"

    return right


def browse_cases() -> Iterator[Case]:
    """Yields annotation files of odd names for the page, which are right."""
    for name in ODD_NAMES:
        spoil = _renamed(name)
        yield Case("names", repr(name), "browse", spoil, _browse("coco"), "accept")


def _renamed(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = world.coco()
        content["categories"][0]["name"] = name
        content["images"][0]["file_name"] = f"{name.replace('/', '')}.jpg"
        shutil.copy(folder / "photos/1.jpg", folder / "photos" / content["images"][0]["file_name"])
        world.write_json(folder / "coco.json", content)

    return spoil
