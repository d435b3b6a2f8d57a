"""Writes the recipe of the next round from a detector's failures: `sos-mm steer RECIPE RESULTS --labels F --out F`.

sos-mm test CONFIG CHECKPOINT --cfg-options test_evaluator.outfile_prefix=work_dirs/round_1/val
sos-mm steer round_1.py work_dirs/round_1/val.segm.json --labels data/val/annotations/instances.json --out round_2.py

RECIPE is that of the last round, and RESULTS are a detector's results on labelled images in COCO's format, as mmdet
writes them. Objects that the detector misses, or takes for another category, decide the weights of categories, the
shares of sizes, the number of objects, how far they may be occluded, and which categories stand in one image. The file
of `--out` inherits RECIPE and is a recipe itself: read it, change it, and steer it again.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from sos_mm.atomic import write_atomic
from sos_mm.checks import check_is_not_read
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.steering import Changes, Failures, Rules, Tally, count_failures, judge, next_changes, write_next_recipe
from sos_mm.steering.rules import size_areas
from sos_mm.synthesis.recipe import load_recipe


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("steer", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="config file of the last round's recipe")
    parser.add_argument("results", help="results of the detector, such as val.bbox.json or val.segm.json")
    parser.add_argument("--labels", required=True, help="COCO file that the detector was tested on; not the test set")
    parser.add_argument("--out", required=True, help="config file of the next round's recipe, to be written")
    parser.add_argument("--report", help="JSON file for all figures, by category and condition")
    parser.add_argument("--kind", choices=("bbox", "segm"), help="what is compared (default: by the name of RESULTS)")
    parser.add_argument("--objects", help="objects.jsonl of the labels (default: the one beside them, if any)")
    parser.add_argument("--score", type=float, help="least score that counts (default: where F1 is best)")
    parser.add_argument("--iou", type=float, default=0.5, help="least overlap with an object (default: 0.5)")
    rules = Rules()
    parser.add_argument(
        "--strength",
        type=float,
        default=rules.strength,
        help="exponent of failure rates; 0 changes pairs alone (default: 2)",
    )
    parser.add_argument(
        "--limit", type=float, default=rules.limit, help="largest change of a weight in one round (default: 4)"
    )
    parser.add_argument("--pairs", type=int, default=rules.pairs, help="most pairs of categories (default: 10)")
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes the recipe and prints the failures."""
    args = parse_args(argv, prog)
    inputs = (args.recipe, args.results, args.labels, args.objects)
    check_is_not_read("--out", args.out, inputs)
    if args.report:
        check_is_not_read("--report", args.report, (*inputs, args.out))
    recipe = load_recipe(args.recipe)
    kind = args.kind or ("segm" if args.results.endswith(".segm.json") else "bbox")
    judgement = judge(args.labels, args.results, kind, args.score, args.iou, args.objects)
    failures = count_failures(judgement, size_areas(recipe))
    changes = next_changes(recipe, recipe.build_bank(), failures, Rules(args.strength, args.limit, pairs=args.pairs))
    source = f"{Path(args.results).name} on {Path(args.labels).name}"
    write_next_recipe(args.out, args.recipe, recipe, changes, failures, source)
    if args.report:
        write_atomic(args.report, (json.dumps(failures.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
    print("\n".join(describe(failures, changes)))
    print(args.out)


def describe(failures: Failures, changes: Changes) -> Iterator[str]:
    """Yields the lines of a table of the failures, and of what they change."""
    shown = "objects.jsonl" if failures.visibility == "objects" else "overlaps of boxes"
    yield f"scores from {failures.score:.3g} on count; visible shares are those of {shown}"
    width = max(len(name) for name in (*failures.by_category, "visible by less", "8 to 15 objects"))
    yield f"{'':<{width}}  objects  missed  confused  failed"
    yield _row("all", failures.total, width)
    for tallies in (failures.by_category, *failures.by_condition.values()):
        yield ""
        yield from (_row(name, tally, width) for name, tally in tallies.items() if tally.objects)
    if failures.pairs:
        pairs = list(failures.pairs.items())[:5]
        yield "\nconfused most: " + ", ".join(f"{name} and {other} ({number})" for (name, other), number in pairs)
    if changes.layout:
        yield "changed in the layout: " + ", ".join(f"{key}={value}" for key, value in changes.layout.items())
    if changes.unused:
        yield f"not in the segments: {', '.join(changes.unused)}"


def _row(name: str, tally: Tally, width: int) -> str:
    return f"{name:<{width}}  {tally.objects:7}  {tally.missed:6}  {tally.confused:8}  {tally.rate:6.1%}"
