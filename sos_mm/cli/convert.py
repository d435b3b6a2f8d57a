"""Converts annotation files between formats, such as `sos-mm convert panoptic-odvg panoptic.json grounding.jsonl`.

Panoptic files may be those of COCO, of this package or of the released composed sets. `refs` are the lists of the
authors of RefCOCO (saved as JSON) and gRefCOCO; `mdetr` files are those that mmdet evaluates RefCOCO and gRefCOCO with.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sos_mm.annotations import panoptic
from sos_mm.annotations.released import rebuilt_lines, repaired_panoptic
from sos_mm.atomic import write_atomic
from sos_mm.checks import check_is_not_read
from sos_mm.cli.ending import command, refuse
from sos_mm.cli.parsing import new_parser
from sos_mm.formats.coco import CATEGORY
from sos_mm.formats.json_reader import read_lists
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import read_mdetr, to_mdetr
from sos_mm.formats.odvg import label_map
from sos_mm.formats.odvg_referring import read_odvg, to_odvg
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.refs import read_refs


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("convert", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True, metavar="KIND")

    def kind(name: str, make, text: str) -> argparse.ArgumentParser:
        added = kinds.add_parser(name, help=text, description=text)
        added.add_argument("source", help="file to read")
        added.add_argument("out", help="file to write")
        added.set_defaults(make=make)
        return added

    added = kind("panoptic-odvg", panoptic_odvg, "panoptic to ODVG for grounding, by phrase")
    added.add_argument("--seed", type=int, default=0, help="seed of the order of phrases (default: 0)")
    captions = [added, kind("released-odvg", released_odvg, "released ODVG for grounding, rebuilt")]
    classes = kind("panoptic-odvg-detection", panoptic_detection, "panoptic to ODVG for detection, and a label map")
    for each in captions:
        each.add_argument("--max-characters", type=int, help="longest caption; longer ones become several lines")
    intra_class = kind("panoptic-intra-class", panoptic_intra_class, "panoptic to intra-class referring")
    for each in (added, classes, intra_class):
        each.add_argument("--stuff", action="store_true", help="take stuff too")
    for each in (*captions, classes, intra_class):
        each.add_argument("--image-suffix", help="suffix of the image files, if the annotation file has another")
    added = kind("released-panoptic", released_panoptic, "released panoptic, with areas and boxes as its masks show")
    added.add_argument("--masks", required=True, help="folder of the masks")
    added.add_argument("--image-suffix", help="suffix of the image files, if the annotation file has another")
    kind("mdetr-odvg", mdetr_odvg, "referring expressions to ODVG")
    added = kind("odvg-mdetr", odvg_mdetr, "ODVG for grounding to referring expressions")
    names = "file whose list `categories` has their names, such as COCO instances or an mdetr file"
    added.add_argument("--categories", help=f"{names}; ODVG has their ids only, which become the names without it")
    for name, make in (("refs-odvg", refs_odvg), ("refs-mdetr", refs_mdetr)):
        added = kind(name, make, f"lists of RefCOCO or gRefCOCO to {name.removeprefix('refs-')}")
        added.add_argument("--instances", required=True, help="COCO instances that the list names")
        added.add_argument("--split", help="only this one, such as train or testA (default: all)")
        added.add_argument("--name", default="refcoco", help="refcoco, refcoco+ or refcocog, for mmdet's RefExpMetric")
    return parser.parse_args(argv)


def _panoptic(args: argparse.Namespace) -> PanopticFile:
    return PanopticFile(args.source, args.image_suffix, args.stuff)


def panoptic_odvg(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts a panoptic file to ODVG for grounding; returns the number of lines."""
    file = _panoptic(args)
    number = write_lines(args.out, panoptic.grounding_lines(file, args.max_characters, args.seed))
    left_out.update(file.left_out)
    return number


def panoptic_detection(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts a panoptic file to ODVG for detection, with ``<stem>_label_map.json`` beside it."""
    file, out = _panoptic(args), Path(args.out)
    names = label_map(file.names[id] for id in file.labels)
    beside = out.with_name(f"{out.stem}_label_map.json")
    content = (json.dumps(names, ensure_ascii=False) + "\n").encode()
    check_beside(beside, content)
    number = write_lines(out, panoptic.detection_lines(file))
    write_atomic(beside, content)
    left_out.update(file.left_out)
    return number


def panoptic_intra_class(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts a panoptic file to intra-class referring expressions."""
    file = _panoptic(args)
    content = panoptic.intra_class(file)
    number = write_lists(args.out, content, "images")
    left_out.update(file.left_out)
    return number


def released_odvg(args: argparse.Namespace, left_out: Counter) -> int:
    """Repairs a released grounding file."""
    lines = rebuilt_lines(args.source, args.image_suffix or ".jpg", args.max_characters, left_out)
    return write_lines(args.out, lines)


def released_panoptic(args: argparse.Namespace, left_out: Counter) -> int:
    """Repairs a released panoptic file."""
    content = repaired_panoptic(args.source, args.masks, args.image_suffix, left_out)
    return write_lists(args.out, content, "annotations")


def mdetr_odvg(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts an ``mdetr`` file to ODVG."""
    return write_lines(args.out, to_odvg(read_mdetr(args.source), left_out))


def odvg_mdetr(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts ODVG for grounding to an ``mdetr`` file."""
    categories = read_lists(args.categories, categories=CATEGORY)["categories"] if args.categories else ()
    content = to_mdetr(read_odvg(args.source), categories)
    return write_lists(args.out, content, "images")


def refs_odvg(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts a ``refs`` file to ODVG."""
    expressions = read_refs(args.source, args.instances, args.split, args.name)
    return write_lines(args.out, to_odvg(expressions, left_out))


def refs_mdetr(args: argparse.Namespace, left_out: Counter) -> int:
    """Converts a ``refs`` file to an ``mdetr`` file."""
    expressions = read_refs(args.source, args.instances, args.split, args.name)
    categories = read_lists(args.instances, categories=CATEGORY)["categories"]
    content = to_mdetr(expressions, categories)
    return write_lists(args.out, content, "images")


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Converts a file and prints what was left out; an empty result is an error, and is not written."""
    args, left_out = parse_args(argv, prog), Counter[str]()
    check_is_not_read("OUT", args.out, (getattr(args, name, None) for name in ("source", "instances", "categories")))
    number = args.make(args, left_out)
    if number:
        print(f"{args.out}: {number} written")
    for reason, times in (+left_out).most_common():
        print(f"left out, {times} times: {reason}")
    if not number:
        refuse(f"nothing of {args.source} fits this kind, so {args.out} is not written")


def write_lines(out: str | Path, lines: Iterable[Any]) -> int:
    """Writes a file of JSON lines, unless there are none; returns their number."""
    found = iter(lines)
    first = next(found, None)
    return 0 if first is None else write_json_lines(out, chain([first], found))


def write_lists(out: str | Path, content: Mapping[str, Any], counted: str) -> int:
    """Writes a file of lists, unless the one that counts is empty; returns its length."""
    if content[counted]:
        write_json_lists(out, content)
    return len(content[counted])


def check_beside(path: Path, content: bytes) -> None:
    """Checks that a file that is written beside `OUT`, and was not named, replaces nothing but the same content.

    Raises:
        FileExistsError: If it would.
    """
    if path.exists() and not (path.is_file() and path.read_bytes() == content):
        raise FileExistsError(
            f"{path} would be written beside `OUT`, but exists with other content: name another `OUT`, or remove it if "
            "it is not needed."
        )
