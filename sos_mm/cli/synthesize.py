"""Generates a data set: `sos-mm synthesize configs/synthesis/sample_saliency.py --out data/sample --num 1000`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sos_mm.browse import page_folder, write_report
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_recipe, new_parser
from sos_mm.storage import is_address
from sos_mm.synthesis import Recipe, estimate, load_recipe, synthesize
from sos_mm.synthesis.executors import EXECUTORS
from sos_mm.synthesis.sources import ON_CHANGE
from sos_mm.synthesis.unmerged import MERGE


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("synthesize", __doc__, prog)
    add_recipe(parser, example="group=held_out")
    parser.add_argument("--out", help="folder of the data set, or an address s3://BUCKET/PREFIX")
    parser.add_argument("--num", type=int, required=True, help="number of images")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--executor",
        choices=EXECUTORS,
        default="processes",
        help="who makes the shards: processes of this machine, or a Ray cluster (that of RAY_ADDRESS, or a local one)",
    )
    parser.add_argument(
        "--merge",
        choices=MERGE,
        default="all",
        help="which annotation files become one: all (default), those of JSON lines alone, or none; the others are "
        "written for each shard into the folder shards, and `--merge all` merges them at any time later",
    )
    parser.add_argument(
        "--shard-size", type=int, default=100, help="images of a shard, at which a run goes on (default: 100)"
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="compose a few images, print how long the data set takes and how large it is, and keep nothing",
    )
    parser.add_argument("--report", metavar="DIR", help="folder for a page about the data set, made at the end")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="of a data set that is complete already, read all files and compare their checksums",
    )
    parser.add_argument(
        "--changed-sources",
        choices=ON_CHANGE,
        default="error",
        help="what to do if segments or backgrounds have changed since an interrupted run began: `continue` makes the "
        "missing images from those of now, and the manifest says which images came from which",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default: 0)")
    args = parser.parse_args(argv)
    if args.out is None and not args.estimate:
        parser.error("the following arguments are required: --out")
    return args


def check_apart(out: str, report: str) -> None:
    """Checks that neither folder is inside the other one.

    Raises:
        ValueError: If one is.
    """
    data, page = Path(out).resolve(), Path(report).resolve()
    if data == page or data in page.parents or page in data.parents:
        raise ValueError(f"`--report` must be a folder apart from that of the data set, {out}, but got {report}.")


def check_shown(recipe: Recipe, merge: str) -> None:
    """Checks that a page can be made of the data set, which needs a merged annotation file.

    Raises:
        ValueError: If there is none.
    """
    kinds = {each if isinstance(each, str) else each["type"] for each in recipe.formats}
    if merge == "none" or (merge == "odvg" and not kinds & {"odvg", "objects"}):
        raise ValueError(
            f"`--report` needs a merged annotation file, but `--merge {merge}` leaves none: leave `--report` out, or "
            "give `--merge all`, or `--merge odvg` with the format 'odvg' or 'objects'."
        )


@command("interrupted: the same command goes on from here")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Generates the data set and prints its path."""
    args = parse_args(argv, prog)
    recipe = load_recipe(args.recipe, args.cfg_options)
    if args.estimate:
        chosen = {name: getattr(args, name) for name in ("workers", "seed", "shard_size", "merge")}
        print(estimate(recipe, args.num, **chosen).describe(None if is_address(args.out) else args.out))
        return
    if args.report and is_address(args.out):
        raise ValueError(f"`--report` needs the data set in a folder, but `--out` is {args.out}: leave `--report` out.")
    if args.report:
        check_apart(args.out, args.report)
        check_shown(recipe, args.merge)
        page_folder(args.report)
    report = synthesize(
        recipe,
        args.out,
        args.num,
        workers=args.workers,
        seed=args.seed,
        shard_size=args.shard_size,
        merge=args.merge,
        executor=args.executor,
        verify=args.verify,
        changed_sources=args.changed_sources,
    )
    page = write_report(args.out, args.report) if args.report else None
    print(report.describe())
    if page:
        print(f"page: {page}")
