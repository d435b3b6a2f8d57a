"""The table of bad inputs: what is wrong with a file or an option, and what each tool must do about it."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

from tests.annotations.samples import mutate
from tests.faults import world
from tests.faults.running import Ending

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
        expected: 'refuse' (exit code 2), 'find' (a report, exit code 1), 'skip' (the fault is told and the rest is done,
            or a refusal where the fault is one of the whole file), or 'accept'.
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
    ("panoptic", "annotations 0 segments_info 1 id", [1], "ids?", "validate browse refer"),
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
