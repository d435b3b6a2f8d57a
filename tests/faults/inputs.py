"""The table of bad inputs: what is wrong with a file or an option, and what each tool must do about it."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

from tests.annotations.samples import mutate
from tests.faults import world
from tests.helpers.commands import Ending

Right = Callable[[Path, Ending], str | None]


@dataclass(frozen=True)
class Case:
    """One bad input and the tool that gets it.

    Attributes:
        family: Family of the input, such as 'fields of COCO'.
        what: What is wrong with it.
        tool: Name of the tool.
        spoil: Changes the folder of good inputs.
        argv: The command line, by the folder.
        expected: 'refuse' (exit code 2), 'find' (a report, exit code 1), 'skip' (the fault is told and the rest is
            done, or a refusal where the fault is one of the whole file), or 'accept'.
        says: Pattern that a refusal or a finding must match.
        right: What is wrong with the result of an accepted input; None if nothing is.
    """

    family: str
    what: str
    tool: str
    spoil: Callable[[Path], object]
    argv: Callable[[Path], list]
    expected: str = "refuse"
    says: str = ""
    right: Right = lambda folder, ended: None

    @property
    def id(self) -> str:
        return f"{self.family}: {self.what}: {self.tool}"


# Command lines of the tools, by the folder of inputs.
Argv = Callable[[Path], list]


def _index(folder: Path, *options: str) -> list:
    return ["index", folder / "out.arrow", *options]


def _index_coco(kind: str, *options: str) -> Argv:
    return lambda folder: _index(
        folder, "type=coco", f"annotations={world.file_of(folder, kind)}", f"images={folder / 'photos'}", *options
    )


def _browse(kind: str, *options: str) -> Argv:
    return lambda folder: [
        "browse", world.file_of(folder, kind), "--images", folder / "photos", "--out", folder / "page", *options,
    ]  # fmt: skip


def _refer(kind: str, *options: str) -> Argv:
    return lambda folder: [
        "refer", world.file_of(folder, kind), "--images", folder / "photos", "--out", folder / "words", *options,
    ]  # fmt: skip


def _validate(kind: str, *options: str) -> Argv:
    return lambda folder: ["validate", world.file_of(folder, kind), "--images", folder / "photos", *options]


def _convert(name: str, kind: str, *options: str) -> Argv:
    return lambda folder: [
        "convert", name, world.file_of(folder, kind), folder / "converted.json",
        *(each.replace("{folder}", str(folder)) for each in options),
    ]  # fmt: skip


def _audit(folder: Path) -> list:
    images = [word for side in ("train", "test") for word in (f"--{side}-images", folder / "photos")]
    return ["audit", folder / "coco.json", folder / "coco.json", *images]


def _subsets(kind: str) -> Argv:
    return lambda folder: [
        "make_subsets.py", world.file_of(folder, kind), "--out", folder / "parts", "--percents", "50",
    ]  # fmt: skip


def _synthesize(folder: Path) -> list:
    return ["synthesize", folder / "recipe.py", "--out", folder / "made", "--num", "1"]


def _layout(kind: str) -> Argv:
    """Composes by the boxes of a COCO file."""

    def argv(folder: Path) -> list:
        recipe = world.recipe() | {
            "layout": {"type": "CocoLayout", "annotations": str(world.file_of(folder, kind)), "counts": (2, 2)}
        }
        world.write_recipe(folder, recipe)
        return _synthesize(folder)

    return argv


def _skipping(argv: Argv) -> Argv:
    return lambda folder: [*argv(folder), "--broken", "skip"]


READERS: dict[str, dict[str, Argv]] = {
    "coco": {
        "validate": _validate("coco"),
        "index": _index_coco("coco"),
        "index --broken skip": _skipping(_index_coco("coco")),
        "browse": _browse("coco"),
        "browse --broken skip": _skipping(_browse("coco")),
        "refer": _refer("coco"),
        "refer --broken skip": _skipping(_refer("coco")),
        "audit": _audit,
        "subsets": _subsets("coco"),
        "layout": _layout("coco"),
        "refs-mdetr": _convert("refs-mdetr", "refs", "--instances", "{folder}/coco.json"),
    },
    "lvis": {
        "validate": lambda folder: ["validate", folder / "lvis.json", "--images", folder],
        "index": _index_coco("lvis"),
        "browse": _browse("lvis"),
        "refer": _refer("lvis"),
        "subsets": _subsets("lvis"),
    },
    "panoptic": {
        "validate": lambda folder: [*_validate("panoptic")(folder), "--masks", folder / "panoptic"],
        "browse": _browse("panoptic"),
        "refer": _refer("panoptic"),
        "panoptic-odvg": _convert("panoptic-odvg", "panoptic"),
        "panoptic-odvg-detection": _convert("panoptic-odvg-detection", "panoptic"),
    },
    "mdetr": {
        "validate": _validate("mdetr"),
        "mdetr-odvg": _convert("mdetr-odvg", "mdetr"),
        "browse": lambda folder: [*_browse("coco")(folder), "--expressions", folder / "mdetr.json"],
        "refer --verify": lambda folder: ["refer", folder / "coco.json", "--no-pixels", "--verify", folder / "mdetr.json"],
    },
    "refs": {
        "validate": _validate("refs"),
        "refs-odvg": _convert("refs-odvg", "refs", "--instances", "{folder}/coco.json"),
        "refer --verify": lambda folder: ["refer", folder / "coco.json", "--no-pixels", "--verify", folder / "refs.json"],
    },
    "detection": {
        "validate": _validate("detection"),
        "browse": _browse("detection"),
        "refer": _refer("detection"),
    },
    "grounding": {
        "validate": _validate("grounding"),
        "browse": _browse("grounding"),
        "refer": _refer("grounding"),
        "odvg-mdetr": _convert("odvg-mdetr", "grounding"),
    },
    "objects": {
        "browse": _browse("objects"),
        "refer": _refer("objects"),
    },
}  # fmt: skip

ALL = "*"
# kind, keys, the wrong values, what the messages name, and the tools that must refuse it. (`...` deletes the member.)
FIELDS: list[tuple[str, str, Sequence[Any], str, str]] = [
    # Images.
    ("coco", "images", [..., None, {}, "no"], "images", ALL),
    ("coco", "images 0", [None, [], 7], "images|image", ALL),
    ("coco", "images 0 id", [..., None, 1.0, [1], True], "`id`", ALL),
    ("coco", "images 0 id", ["1"], "image_id|all numbers or all text|all integers or all text", ALL),
    ("coco", "images 1 id", [1], "ids?", ALL),
    ("coco", "images 0 width", [..., None, "120", 0, -5, 120.5, True, 2**31], "width", "validate index browse refer layout refs-mdetr"),
    ("coco", "images 0 height", ["90", 10**400], "height", "validate index browse refer layout refs-mdetr"),
    ("coco", "images 0 file_name", [12, "", None, ..., [], "../photos/1.jpg", "/etc/passwd"], "file_name", "validate index browse refer refs-mdetr"),
    ("coco", "images 0 file_name", ["gone.jpg"], "gone.jpg", "validate index browse refer"),
    # Categories.
    ("coco", "categories", [..., None, {}], "categories", "validate index browse refer refs-mdetr"),
    ("coco", "categories 0", ["dog", None], "categories|category", "validate index browse refer refs-mdetr"),
    ("coco", "categories 0 id", [..., None, "1", 1.0, True], "`id`|category_id", "validate index browse refer refs-mdetr"),
    ("coco", "categories 0 name", [..., None, "", " ", 5, ["dog"]], "name", "validate index browse refer refs-mdetr"),
    ("coco", "categories 1 id", [1], "ids?", "validate index browse refer"),
    ("coco", "categories 1 name", ["dog"], "names?", "validate index browse refer"),
    # Annotations.
    ("coco", "annotations", [..., None, {}], "annotations", ALL),
    ("coco", "annotations 0", [None, [], "a"], "annotation", ALL),
    ("coco", "annotations 0 id", [..., None, [1], 1.5], "`id`", "validate index refer refs-mdetr"),
    ("coco", "annotations 1 id", [1], "ids?|id of its own", "validate index refs-mdetr"),
    ("coco", "annotations 0 image_id", [99, "1", None, ..., 1.0, [1], True], "image_id|no such image|names the", ALL),
    ("coco", "annotations 0 category_id", [99, "1", None, ..., 1.0, [1]], "category_id|category 99|category", "validate index browse refer"),
    ("coco", "annotations 0 bbox", [..., None, ["10", "10", "30", "30"], [1, 2, 3], "box", [nan, 10, 30, 30], [10, 10, inf, 30], [True, True, 30, 30], [10, 10, 10**400, 5]], "bbox|box", "validate index browse refer layout refs-mdetr"),
    ("coco", "annotations 0 bbox", [[10, 10, -5, 30]], "box", "validate index browse refer"),
    ("coco", "annotations 0 area", ["900", -1, nan, ...], "area", "validate"),
    ("coco", "annotations 0 iscrowd", ["0", 2, "no", 0.5, [0]], "iscrowd", "validate index browse refer layout"),
    ("coco", "annotations 0 iscrowd", [..., None], "iscrowd", "validate"),
    ("coco", "annotations 0 segmentation", [[[nan, 10, 40, 10, 40, 40]], [[2e8, 10, 2e8, 40, 40, 2e8]], [["10", "10", "40", "10", "40", "40"]], [[10, 10, 40, 10]], [10, 10, 40, 10, 40, 40], "text", 5, {}, [[inf, 10, 40, 10, 40, 40]], [[10, 10, 40, 10, 40, 10**400]]], "polygon|outline|segmentation|run lengths", "validate index browse refer"),
    ("coco", "annotations 2 segmentation counts", ["!!!", "", 5, None, ..., [5, 5], [-1, 10801], [1.5, 10798.5], [2**62, 2**62], [10800, 10**30], "0" * 40], "run lengths|outline", "validate index browse refer"),
    ("coco", "annotations 2 segmentation size", [[9, 12], [120, 90], ["90", "120"], None, 5, [90, 120, 3], [90.5, 120]], "size|for an image of|outline", "validate index browse refer"),
    # LVIS.
    ("lvis", "images 0 neg_category_ids", ["no", [1.5], [99]], "categor", "validate refer"),
    ("lvis", "images 0 not_exhaustive_category_ids", [5, ["1"], [99]], "categor", "validate refer"),
    ("lvis", "images 0 coco_url", [5, "", "http://there/photos/../../1.jpg"], "file_name|coco_url", "validate"),
    ("lvis", "annotations 0 category_id", ["1", 99], "category", "validate index browse refer subsets"),
    ("lvis", "annotations 0 image_id", ["1", 99], "image_id|no such image", "validate index browse refer subsets"),
    ("lvis", "categories 0 frequency", ["x", 1], "frequency", "validate"),
    # Panoptic.
    ("panoptic", "annotations 0", [None, 5], "annotation", ALL),
    ("panoptic", "annotations 0 image_id", [99, "1", ..., [1], 1.0], "image_id|no such image", ALL),
    ("panoptic", "annotations 0 file_name", [5, "", ..., "gone.png"], "file_name|gone.png", "validate browse refer"),
    ("panoptic", "annotations 0 segments_info", [..., None, {}, [5]], "segments", ALL),
    ("panoptic", "annotations 0 segments_info 0 id", [..., "1", 2**24, None, 1.0], "ids? |`id`", "validate browse refer"),
    ("panoptic", "annotations 0 segments_info 1 id", [1], "ids?|Segment 1 of the image 1", "validate browse refer"),
    ("panoptic", "annotations 0 segments_info 0 category_id", [..., "1", 99, [1]], "category", ALL),
    ("panoptic", "annotations 0 segments_info 0 bbox", [..., "box", ["10", "10", "30", "30"], [nan, 1, 2, 3]], "box|bbox", ALL),
    ("panoptic", "annotations 0 segments_info 0 iscrowd", ["0", 2], "iscrowd", ALL),
    ("panoptic", "annotations 0 segments_info 0 iscrowd", [...], "iscrowd", "validate"),
    ("panoptic", "categories 0 isthing", ["no", 2, []], "isthing", ALL),
    ("panoptic", "categories 0 isthing", [...], "isthing", "validate"),
    ("panoptic", "images 0 width", ["120", ...], "width", ALL),
    # Expressions.
    ("mdetr", "images 0 caption", [..., 5, " "], "caption", ALL),
    ("mdetr", "images 0 id", [..., 1.5, [1]], "`id`", ALL),
    ("mdetr", "images 1 id", [1], "ids?", ALL),
    ("mdetr", "images 0 width", ["120", 0], "width", ALL),
    ("mdetr", "images 0 file_name", [5, ""], "file_name", ALL),
    ("mdetr", "annotations 0 image_id", [99, "1", [1]], "image", ALL),
    ("mdetr", "annotations 0 category_id", ["1", ..., None], "category_id", ALL),
    ("mdetr", "annotations 0 bbox", [..., ["1", "2", "3", "4"], [nan, 1, 2, 3]], "box", ALL),
    ("mdetr", "annotations 0 tokens_positive", [[[0, 99]], [[5, 2]], "all", [["0", "5"]]], "span|tokens_positive", ALL),
    ("refs", "0 image_id", ["1", 99, ..., [1]], "image", "refs-odvg refer"),
    ("refs", "0 ann_id", [99, "1", [], None, ...], "annotation|ann_id", "refs-odvg refer"),
    ("refs", "0 sentences", [..., {}, [5]], "sentence", ALL),
    ("refs", "0 sentences 0 sent", [5, " ", ...], "sent", ALL),
    ("refs", "0 sentences 0 sent_id", [[1], ..., 1.5], "sent_id", ALL),
    # ODVG.
    ("detection", "0", [None, 5, {}], "line", "validate"),
    ("detection", "0 filename", [5, "", ..., "../x.jpg"], "filename", ALL),
    ("detection", "0 width", ["120", 0, ...], "width", ALL),
    ("detection", "0 detection", [None, 5, {"instances": 5}], "detection|instances", ALL),
    ("detection", "0 detection instances 0 bbox", [..., "box", ["1", "2", "3", "4"], [nan, 1, 2, 3]], "box", ALL),
    ("detection", "0 detection instances 0 label", ["0", -1, ..., 0.5], "label", "validate refer"),
    ("detection", "0 detection instances 0 category", [5, " "], "category", ALL),
    ("grounding", "0 grounding", [None, 5, {}], "grounding|caption", ALL),
    ("grounding", "0 grounding caption", [5, " ", ...], "caption", ALL),
    ("grounding", "0 grounding regions", [None, 5, [5], ["a"]], "region", ALL),
    ("grounding", "0 grounding regions 0 bbox", [..., 5, ["1", "2", "3", "4"], [[nan, 1, 2, 3]], []], "box|bbox", ALL),
    ("grounding", "0 grounding regions 0 phrase", [5, "", ..., [5], []], "phrase", ALL),
    # Composed objects.
    ("objects", "0 canvas", [[90], "90x120", ["90", "120"], [0, 120], ...], "canvas", ALL),
    ("objects", "0 file_name", [5, "", "../1.jpg"], "file_name", ALL),
    ("objects", "0 objects", [None, 5, [5]], "objects", ALL),
    ("objects", "0 objects 0 box", [..., "box", ["1", "2", "3", "4"], [nan, 1, 2, 3]], "box", ALL),
    ("objects", "0 objects 0 category", [5, "", ...], "category", ALL),
    ("objects", "0 objects 0 modal", [5, {"size": [90, 120], "counts": [5, 5]}, {"size": [9, 12], "counts": "0"}], "modal|outline|run lengths", ALL),
    ("objects", "0 objects 0 visible_share", ["all", nan], "visible_share", ALL),
]  # fmt: skip


def _named(value: Any) -> str:
    return "missing" if value is ... else repr(value)[:40]


def _spoiled(kind: str, keys: str, value: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = deepcopy(world.MAKERS[kind]())
        mutate(content, keys, value)
        world.write_json(world.file_of(folder, kind), content, kind)

    return spoil


def field_cases() -> Iterator[Case]:
    """Yields the cases of wrong fields: each for every tool that reads the field."""
    for kind, keys, values, says, tools in FIELDS:
        for value in values:
            for tool, argv in READERS[kind].items():
                if tools != ALL and tool.split()[0] not in tools.split():
                    continue
                skips = "--broken skip" in tool
                expected = "find" if tool == "validate" else "skip" if skips else "refuse"
                yield Case(
                    f"fields of {kind}",
                    f"{keys} is {_named(value)}",
                    tool,
                    _spoiled(kind, keys, value),
                    argv,
                    expected,
                    says,
                )


# Options of the recipe, the wrong values, and what the message names.
RECIPES: list[tuple[str, Sequence[Any], str]] = [
    ("canvas", [48, (48,), (48, "48"), (48.0, 48), (8, 48), (True, 48), (48, 48, 3), (10**9, 48), "48"], "canvas"),
    ("keep_ignored", ["no", 1, 0, None, "false"], "keep_ignored"),
    ("min_area", [1.5, 0, -1, "16", True, None, 10**9], "min_area"),
    ("min_visible_share", ["0.5", -0.1, 1.5, nan, True, None], "min_visible_share"),
    ("group", ["test", 5, None, ["train"]], "group"),
    ("sampling", ["weighed", 1, None, ["category"]], "sampling"),
    ("sampling", ["weighted"], "category_weights"),
    ("image_format", ["gif", "JPG", None, 5], "image_format"),
    ("formats", ["coco", [], [5], ["coco", "coco"], [{"type": "coco", "x": 1}], None, [{"type": "lvis", "negatives": 1.5}], [{"type": "lvis", "negatives": -1}], [{"type": "lvis", "negatives": "20"}], [{"type": "lvis", "negatives": True}], [{"type": "yolo", "tolerance": "1"}], [{"type": "yolo", "parts": "all"}], [{"type": "panoptic", "background": 5}], [{"type": "objects", "masks": "no"}], [{"type": "objects", "masks": 1}], [{}], {"type": "coco"}], "format|negatives|tolerance|parts|background|masks"),
    ("vocabulary", [["cat", 5], 5, ["ball", "ball"], {"ball": "1", "box": 2}, {"ball": 1, "box": 1}, {"ball": 1.5, "box": 2}, ["ball", "_"], ["ball"], "{folder}/metadata.json", "{folder}/none.json", [["ball"], "box"], []], "vocabulary|metadata.json|none.json"),
    ("background_categories", ["unknwon", 5, [5], ["dog"], {"ball": 1}], "background_categories"),
    ("effects", [5, ["defualt"], [5], [{"type": "Blur"}], [{"type": "CastShadow", "enabled": "no"}], [{"type": "CastShadow", "x": 1}], {"type": "CastShadow"}, [{"type": "EdgeFeather", "sigma": "1"}], [{}]], "effects|step|enabled|CastShadow|sigma|EdgeFeather"),
    ("layout", [5, {}, {"type": "Random"}, {"type": "RandomLayout", "counts": (1.5, 2)}, {"type": "RandomLayout", "counts": 2}, {"type": "RandomLayout", "counts": (3, 2)}, {"type": "RandomLayout", "counts": ("1", "2")}, {"type": "RandomLayout", "flip": "yes"}, {"type": "RandomLayout", "flip": True}, {"type": "RandomLayout", "rotation": nan}, {"type": "RandomLayout", "side": (0.5,)}, {"type": "RandomLayout", "side": (True, True)}, {"type": "RandomLayout", "sizes": "big"}, {"type": "StructuredLayout", "attempts": 2.5}, {"type": "StructuredLayout", "restarts": "20"}, {"type": "StructuredLayout", "shares": 5}, {"type": "StructuredLayout", "shares": {"large": "1", "medium": 0, "small": 0}}, {"type": "StructuredLayout", "areas": {"large": 1, "medium": 0, "small": 0}}, {"type": "StructuredLayout", "crowded": True}, {"type": "CocoLayout", "annotations": 5}, {"type": "CocoLayout", "annotations": "{folder}/none.json"}, {"type": "CocoLayout", "annotations": "{folder}/metadata.json"}, {"type": "CocoLayout"}, {"type": "SourceSizeLayout"}], "layout|counts|flip|rotation|side|sizes|attempts|restarts|shares|areas|crowded|annotations|none.json|metadata.json|Layout"),
    ("backgrounds", [5, {}, {"type": "photo"}, {"type": "folder"}, {"type": "folder", "root": 5}, {"type": "folder", "root": "{folder}/none"}, {"type": "folder", "root": "{folder}/coco.json"}, {"type": "folder", "root": "{folder}/photos", "crop": (0.5,)}, {"type": "folder", "root": "{folder}/photos", "crop": 0.5}, {"type": "folder", "root": "{folder}/photos", "crop": ("0.4", "1")}, {"type": "folder", "root": "{folder}/photos", "flip": "no"}, {"type": "folder", "root": "{folder}/photos", "hue": None}, {"type": "folder", "root": "{folder}/photos", "cache_bytes": 1.5}, {"type": "texture", "octaves": 2.5}, {"type": "texture", "octaves": "5"}, {"type": "texture", "octaves": True}, {"type": "texture", "cells": (2,)}, {"type": "texture", "cells": (2.5, 4)}, {"type": "texture", "cells": 3}, {"type": "plain", "colors": 5}, {"type": "plain", "colors": [(1, 2)]}, {"type": "plain", "colors": [("1", "2", "3")]}, {"type": "plain", "colors": "red"}, {"type": "plain", "colors": [(1, 2, 300)]}, {"type": "gradient", "colors": [5]}, {"type": "none", "x": 1}], "backgrounds|root|none|coco.json|crop|flip|hue|cache_bytes|octaves|cells|colors"),
    ("segments", [5, {}, {"type": "files"}, {"type": "folder"}, {"type": "folder", "root": 5}, {"type": "folder", "root": "{folder}/none"}, {"type": "folder", "root": "{folder}/photos"}, {"type": "folder", "root": "{folder}/segments", "broken": "no"}, {"type": "folder", "root": "{folder}/segments", "vocabulary": "ball"}, {"type": "folder", "root": "{folder}/segments", "vocabulary": ["ball", 5]}, {"type": "folder", "root": "{folder}/segments", "vocabulary": ["dog"]}, {"type": "folder", "root": "{folder}/segments", "attributes": "red"}, {"type": "folder", "root": "{folder}/segments", "filters": 5}, {"type": "folder", "root": "{folder}/segments", "filters": {"touching": "no"}}, {"type": "folder", "root": "{folder}/segments", "filters": {"area": 5}}, {"type": "folder", "root": "{folder}/segments", "filters": {"area": ("1", "5")}}, {"type": "folder", "root": "{folder}/segments", "filters": {"duplicates": 1.5}}, {"type": "folder", "root": "{folder}/segments", "filters": {"annotated": "IsInstance"}}, {"type": "folder", "root": "{folder}/segments", "cache_bytes": "1"}, {"type": "folder", "root": "{folder}/segments", "category_weights": 5}, {"type": "folder", "root": "{folder}/segments", "category_weights": {"ball": "2"}}, {"type": "folder", "root": "{folder}/segments", "category_weights": {"ball": nan}}, {"type": "mix", "banks": 5}, {"type": "mix", "banks": [5]}, {"type": "mix", "banks": [{"type": "folder", "root": "{folder}/segments"}], "weights": ["1"]}, {"type": "mix", "banks": [{"type": "folder", "root": "{folder}/segments"}], "weights": 1}, {"type": "index", "path": "{folder}/coco.json"}, {"type": "index", "path": 5}, {"type": "tar", "shards": 5}, {"type": "tar", "shards": [5]}, {"type": "tar", "shards": "{folder}/coco.json"}], "segments|bank|root|none|photos|broken|vocabulary|attributes|filters|cache_bytes|category_weights|banks|weights|coco.json|path|shards|5"),
    ("not_a_key", [1], "key of the recipe"),
]  # fmt: skip
# Replacements of single values at the command line, and what the message names.
CFG_OPTIONS = [
    ("canvas.0=48", "canvas"),
    ("layout.counts.0=1", "counts"),
    ("formats.9.type=coco", "formats"),
    ("canvas=48,48,3", "canvas"),
    ("keep_ignored=no", "keep_ignored"),
    ("layout.type=Random", "layout"),
    ("nothing=1", "nothing"),
    ("group.name=5", "group"),
]


def _filled(value: Any, folder: Path) -> Any:
    """Returns an option with the folder's path in place of ``{folder}``."""
    if isinstance(value, str):
        return value.replace("{folder}", str(folder))
    if isinstance(value, list | tuple):
        return type(value)(_filled(each, folder) for each in value)
    return {key: _filled(each, folder) for key, each in value.items()} if isinstance(value, dict) else value


def _with_option(key: str, value: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = _filled(world.recipe() | {key: value}, folder)
        lines = (f"{name} = {each!r}\n" for name, each in content.items())
        (folder / "recipe.py").write_text('nan = float("nan")\n' + "".join(lines) + "del nan\n", encoding="utf-8")

    return spoil


def recipe_cases() -> Iterator[Case]:
    """Yields wrong options of recipes."""
    for key, values, says in RECIPES:
        for value in values:
            what = f"{key} is {value!r}"
            for tool in ("synthesize", "preview"):
                argv = _synthesize if tool == "synthesize" else _preview
                yield Case("options of recipes", what, tool, _with_option(key, value), argv, says=says)
    for option, says in CFG_OPTIONS:
        yield Case("options of recipes", option, "synthesize", _nothing, _with_cfg_option(option), says=says)


def _nothing(folder: Path) -> None:
    """Spoils nothing."""


def _preview(folder: Path) -> list:
    return ["preview", folder / "recipe.py", "--out", folder / "sheet.png"]


def _with_cfg_option(option: str) -> Argv:
    return lambda folder: [*_synthesize(folder), "--cfg-options", option]


# Options of `sos-mm index`, and what the message names.
INDEX_OPTIONS = [
    ("type=coco {coco} crowd=no", "crowd"),
    ("type=coco {coco} crowd=1", "crowd"),
    ("type=coco {coco} truncated=yes", "truncated"),
    ("type=coco {coco} decontaminate=no", "decontaminate"),
    ("type=coco {coco} include=cup", "include"),
    ("type=coco {coco} include=dog", "include"),
    ('type=coco {coco} include=["dog",5]', "include"),
    ('type=coco {coco} include=["bird"]', "include"),
    ("type=coco {coco} include=5", "include"),
    ("type=coco {coco} soften=-1", "soften"),
    ("type=coco {coco} soften=true", "soften"),
    ("type=coco {coco} soften=soft", "soften"),
    ("type=coco {coco} max_bordering=2", "max_bordering"),
    ("type=coco {coco} max_bordering=true", "max_bordering"),
    ("type=coco {coco} max_bordering=no", "max_bordering"),
    ("type=coco {coco} panoptic=5", "panoptic"),
    ('type=coco {coco} panoptic=["a",5]', "panoptic"),
    ('type=coco {coco} panoptic=["{folder}/coco.json","{folder}/panoptic"]', "coco.json"),
    ('type=coco {coco} panoptic=["{folder}/panoptic.json","{folder}/none"]', "none"),
    ("type=coco annotations={folder}/metadata.json images={folder}/photos", "metadata.json"),
    ("type=coco annotations={folder}/none.json images={folder}/photos", "none.json"),
    ("type=coco annotations=5 images={folder}/photos", "annotations"),
    ("type=coco annotations={folder}/coco.json images={folder}/none", "none"),
    ("type=coco annotations={folder}/coco.json images={folder}/coco.json", "coco.json"),
    ("type=coco annotations={folder}/coco.json", "images"),
    ("type=folder root=5", "root"),
    ("type=folder root={folder}/none", "none"),
    ("type=folder root={folder}/segments broken=skip", "broken"),
    ("type=folder root={folder}/segments vocabulary=coco", "vocabulary"),
    ("type=release root={folder}/release metadata=5", "metadata"),
    ("type=release root={folder}/release metadata={folder}/coco.json", "coco.json"),
    ("type=release root={folder}/release metadata={folder}/refs.json", "refs.json"),
    ("type=release root={folder}/release metadata={folder}/metadata.json allow_missing=no", "allow_missing"),
    ("type=release root={folder}/release metadata={folder}/metadata.json include=ball/red_ball", "include"),
    ('type=release root={folder}/release metadata={folder}/metadata.json include=["ball/blue"]', "include"),
    ("type=release root={folder}/release metadata={folder}/metadata.json filter_annotations={folder}/refs.json", "refs.json"),
    ("type=tar shards={folder}/none-*.tar", "none"),
    ("type=tar shards=5", "shards"),
    ("type=tar shards=[5]", "shards"),
    ("type=tar shards={folder}/coco.json", "coco.json"),
    ("type=sample group=test", "group"),
    ("type=sample include=apple", "include"),
    ("type=bank", "type"),
    ("type=5", "type"),
    ("root={folder}/segments", "type"),
    ("folder", "key=value"),
]  # fmt: skip


def index_cases() -> Iterator[Case]:
    """Yields wrong options of `sos-mm index`."""
    for text, says in INDEX_OPTIONS:
        yield Case("options of index", text, "index", _nothing, _indexing(text), says=says)


def _indexing(text: str) -> Argv:
    def argv(folder: Path) -> list:
        named = text.replace("{coco}", "annotations={folder}/coco.json images={folder}/photos")
        return _index(folder, *named.replace("{folder}", str(folder)).split(" "))

    return argv
