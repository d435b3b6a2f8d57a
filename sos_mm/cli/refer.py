"""Writes referring expressions, each proved to be true and unique, or checks a file: `sos-mm refer DATA --out DIR`.

sos-mm refer data/composed --out data/composed/annotations
sos-mm refer instances_val2017.json --images val2017 --out referring --outputs grefcoco refs dod
sos-mm refer instances_val2017.json --verify finetune_refcoco_val.json --report checked.json

DATA is a COCO, LVIS or panoptic file, ODVG lines, or a data set of `sos-mm synthesize`. `OUT/referring.jsonl` describes
each expression completely. The files of `--outputs` are derived from it:

  odvg         odvg_referring.jsonl, captions of several expressions; odvg_expressions.jsonl, one expression a line
  grefcoco     grefcoco.json in MDETR's style: expressions with one target, several or none
  refcoco      refcoco.json in MDETR's style: expressions with one target
  refs         grefs.json in the format of gRefCOCO's authors, for COCO, LVIS or composed images
  dod          dod.json and the pickles dod/*.pkl, which mmdet's DODDataset reads
  intra_class  intra_class.json: expressions that distinguish one object from others of its category

`--expressions` takes the proved expressions of a file, such as a language model's, instead of writing any. The same
command resumes a killed run. Uniqueness and absence are claimed only for categories that are annotated completely;
`--complete all` asserts that all categories are.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sos_mm.atomic import explaining_full_disk, write_atomic
from sos_mm.checks import check_choice, check_is_not_read, writable_folder
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.digest import sha256_of
from sos_mm.errors import BROKEN
from sos_mm.formats.composed import recipe_has
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.records import Record
from sos_mm.locks import check_same_run, sole_run
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.checking import Report, check_expressions, keep_true
from sos_mm.referring.exporting import FILES, OUTPUTS, Exporter, summarize
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.language import LANGUAGES
from sos_mm.referring.lines import forget_run, stored_run, write_resumable
from sos_mm.referring.matching import ClaimsByImage, read_claims
from sos_mm.referring.outputs import CAPTION_TOKENS, CaptionWriter, image_line
from sos_mm.referring.phrasing import write
from sos_mm.referring.reading import COMPLETE, AnnotatedImages
from sos_mm.referring.tokens import build_counter
from sos_mm.seeding import Purpose, generator
from sos_mm.terminal import progress_bar

LINES, SUMMARY = "referring.jsonl", "referring_summary.json"
_DEFAULT_OUTPUTS = ("odvg", "grefcoco", "refcoco", "intra_class")


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("refer", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="annotation file, or folder of a composed data set")
    parser.add_argument("--out", type=Path, help="folder for the expressions")
    parser.add_argument("--outputs", nargs="*", choices=OUTPUTS, default=_DEFAULT_OUTPUTS, help="what to make of them")
    parser.add_argument("--expressions", metavar="FILE", help="take those of this file that are proved; write none")
    parser.add_argument("--verify", metavar="FILE", help="check these expressions instead of writing any")
    parser.add_argument("--report", type=Path, help="with --verify: JSON file of each expression that is not true")
    parser.add_argument("--images", help="folder of the images (default: looked for beside the annotations)")
    parser.add_argument("--no-pixels", action="store_true", help="do not read images: no colours are measured")
    parser.add_argument("--label-map", help="file of the names of ODVG's labels")
    parser.add_argument("--complete", choices=COMPLETE, default="stated", help="which categories are annotated in full")
    parser.add_argument("--broken", choices=BROKEN, default="error", help="what to do about broken images")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of the expressions (default: en)")
    parser.add_argument("--seed", type=int, default=0, help="of what is said (default: 0)")
    parser.add_argument("--tokenizer", help="vocab.txt, tokenizer.json or their folder; captions are measured with it")
    tokens = f"least and most tokens of a caption (default: {' '.join(map(str, CAPTION_TOKENS))})"
    parser.add_argument("--tokens", nargs=2, type=int, default=CAPTION_TOKENS, metavar=("LOW", "HIGH"), help=tokens)
    parser.add_argument("--split", help="train, val or another: of --verify only this one, or what refs call the set")
    args = parser.parse_args(argv)
    if (args.out is None) == (args.verify is None):
        parser.error("give one of --out, to write expressions, and --verify, to check those of a file")
    if args.report is not None and args.verify is None:
        parser.error("--report is for --verify")
    if args.expressions is not None and args.out is None:
        parser.error("--expressions is for --out")
    return args


def open_images(args: argparse.Namespace) -> AnnotatedImages:
    """Opens the data set as the arguments say."""
    return AnnotatedImages(
        args.data,
        args.images,
        pixels=not args.no_pixels,
        label_map=args.label_map,
        complete=args.complete,
        broken=args.broken,
    )


def refer(args: argparse.Namespace) -> None:
    """Writes the expressions, the files of ``--outputs`` and a summary.

    Raises:
        FileExistsError: If another run is writing to the folder or has written it, or the file of expressions is part
            of a data set.
        OSError: If the disk is full; finished lines are kept.
    """
    for each in args.outputs:
        check_choice("outputs", each, OUTPUTS)
    captions = CaptionWriter(build_counter(args.tokenizer), args.tokens)
    images, report = open_images(args), Report()
    path, express = args.out / LINES, expresser(args, images, report)
    if path.resolve().parent == images.source.resolve().parent and recipe_has(path.resolve().parents[1], "referring"):
        raise FileExistsError(
            f"{path} is part of the data set, by its recipe: name another folder as --out, and give this file as "
            "--expressions to make other files of it."
        )
    folder = writable_folder(args.out, f"The folder of {LINES}")
    with explaining_full_disk(folder, kept="Finished lines"), sole_run(folder, f".{LINES}.lock"):
        run = identity(args, images)
        check_own(path, [name for each in args.outputs for name in FILES[each]], run)
        _write_all(args, run, images, captions, report, express)


def check_own(path: Path, derived: Sequence[str], run: Record) -> None:
    """Checks that a file of expressions, complete or begun, and those beside it are of this run, which replaces them.

    Args:
        path: The file of expressions.
        derived: Names of the files that are derived from it.
        run: The identity of this run.

    Raises:
        FileExistsError: If they are not, or no run is noted beside them.
    """
    found = stored_run(path)
    there = next((each for each in (path, *map(path.with_name, derived)) if each.exists()), None)
    if found is None and there is not None:
        try:
            found = read_json_object(path.with_name(SUMMARY), "The summary of the expressions")["run"]
        except (FileNotFoundError, KeyError, ValueError):
            raise FileExistsError(
                f"{there} belongs to no run that {SUMMARY} beside it names: name another folder, or remove it if it is "
                "not needed."
            ) from None
    if found is not None:
        check_same_run(path, found, run)


def _write_all(
    args: argparse.Namespace,
    run: Record,
    images: AnnotatedImages,
    captions: CaptionWriter,
    report: Report,
    express: Callable[[int, AnnotatedImage], list[ReferringExpression]],
) -> None:
    """Writes the files of a run that is alone in its folder."""
    path = args.out / LINES

    def make(start: int) -> Iterator[Record]:
        with progress_bar(images.numbered(start), total=max(len(images) - start, 0), unit="images") as bar:
            for index, image in bar:
                yield image_line(image, express(index, image), images.categories, index)

    write_resumable(path, run, make)
    exporter = Exporter(path, images, captions, args.seed, args.split or "train")
    summary = {"run": run, **summarize(path), "left out": dict(images.faults.counts)}
    if args.expressions:
        summary["checked"] = report.to_json()
        print(f"{args.expressions}: {report.describe()}")
    summary["records"] = {name: n for each in args.outputs for name, n in exporter.write(each, args.out).items()}
    write_atomic(args.out / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False).encode() + b"\n")
    for text in images.faults.texts:
        print(f"skipped: {text}", file=sys.stderr)
    forget_run(path)
    print(describe(args.out, summary, images.unknown_backgrounds and args.complete == "stated"))


def expresser(
    args: argparse.Namespace, images: AnnotatedImages, report: Report
) -> Callable[[int, AnnotatedImage], list[ReferringExpression]]:
    """Returns the function that gives the expressions of an image: by the grammar, or from a file, into the report."""
    if args.expressions is None:
        return lambda index, image: write(image, generator(args.seed, Purpose.REFERRING, index), language=args.language)
    claims = ClaimsByImage(read_claims(args.expressions, images.source, args.split))
    return lambda index, image: keep_true(image, claims.take(image), args.language, report)


def identity(args: argparse.Namespace, images: AnnotatedImages) -> Record:
    """Returns the settings and files that determine the expressions, by which a run is recognised later."""
    run = {key: getattr(args, key) for key in ("language", "seed", "complete", "no_pixels", "images")}
    files = {"annotation_file": images.source, "label_map": args.label_map, "expressions_file": args.expressions}
    run |= {f"{name}_sha256": None if path is None else sha256_of(path) for name, path in files.items()}
    return run | {"split": args.split if args.expressions else None}


def describe(out: Path, summary: Record, unknown_backgrounds: bool = False) -> str:
    """Formats a summary as a few lines of text.

    Args:
        out: Folder of the expressions.
        summary: The summary.
        unknown_backgrounds: Whether nothing is complete, since the backgrounds of composed images may show anything.
    """
    number, images = summary.get("expressions", 0), summary.get("images", 0)
    lines = [f"{out / LINES}: {number} expressions of {images} images, {number / max(images, 1):.1f} an image"]
    for name in ("by kind", "by number of targets", "near misses"):
        if summary[name]:
            lines.append(f"{name}: " + ", ".join(f"{count} {each}" for each, count in summary[name].items()))
    silent = summary.get("images without expressions", 0)
    if silent:
        why = "nothing in them can be told apart, or is known to be annotated in full, which `--complete all` asserts"
        if unknown_backgrounds:
            why = (
                "the recipe does not say by `background_categories` what its backgrounds show, as the shipped "
                "synthesis/sample_referring.py does, so that no category is known to be annotated in full; `--complete "
                "all` asserts that all are"
            )
        lines.append(f"{silent} images have none: {why}")
    lines += [f"{out / name}: {count}" for name, count in summary["records"].items()]
    return "\n".join(lines)


def verify(args: argparse.Namespace) -> int:
    """Checks expressions and prints the result; returns 1 if one is refused."""
    if args.report is not None:
        check_is_not_read("--report", args.report, (args.verify, args.data))
    images = open_images(args)
    claims = ClaimsByImage(read_claims(args.verify, images.source, args.split))
    with progress_bar(images, total=len(images), unit="images") as bar:
        report = check_expressions(bar, claims, args.language)
    print(f"{args.verify}: {claims.number} expressions: {report.describe()}")
    if args.report is not None:
        content = {"expressions": str(args.verify), "data": str(images.source), **report.to_json()}
        write_atomic(args.report, json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
    return int(report.counts["refused"] > 0)


@command("interrupted: the same command goes on from here")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Writes or checks expressions."""
    args = parse_args(argv, prog)
    if args.verify:
        return verify(args)
    refer(args)
    return 0
