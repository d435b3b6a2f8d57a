"""Builds the index of a bank: reads, checks and measures every segment once, and reports broken ones.

sos-mm index bank.arrow type=release root=data/sos metadata=data/sos.json --copies 128 256 512 1024
sos-mm index coco.arrow type=coco annotations=instances.json images=train2017 soften=1.0
sos-mm index bank.arrow --join part-0.arrow part-1.arrow    # the index of all segments of several

A recipe then says ``segments = dict(type='index', path='bank.arrow')``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.errors import BROKEN, ErrorCollector
from sos_mm.segments import build_index, join_indices
from sos_mm.segments.factory import list_records
from sos_mm.segments.index.arrow import IndexedRecords


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("index", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="the index file to write")
    parser.add_argument("bank", nargs="*", metavar="KEY=VALUE", help="`type` and its options")
    parser.add_argument("--join", nargs="+", default=[], metavar="INDEX", help="indices to join, in this order")
    parser.add_argument("--copies", type=int, nargs="+", default=[], help="longest sides of multi-resolution copies")
    parser.add_argument("--broken", choices=BROKEN, default="error", help="what to do with broken segments")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    args = parser.parse_args(argv)
    if bool(args.bank) == bool(args.join):
        parser.error("give the segments by `type=...` and its options, or indices by --join")
    if args.join and (args.copies or args.broken != "error"):
        parser.error("--copies and --broken are for the indices that are joined")
    return args


def read_options(pairs: list[str]) -> dict[str, Any]:
    """Parses options given as ``key=value``; values are JSON if valid, otherwise strings.

    Raises:
        ValueError: If there is no ``=``.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"Options must be `key=value`, but got {pair!r}.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


@command("interrupted: the index is as it was, or complete; the same command makes it again")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes the index and prints what was left out."""
    args = parse_args(argv, prog)
    faults = ErrorCollector(args.broken)
    if args.join:
        join_indices(args.join, args.out, workers=args.workers)
    else:
        records = list_records(read_options(args.bank), faults)
        build_index(records, args.out, copies=args.copies, faults=faults, workers=args.workers)
    indexed = IndexedRecords(args.out)
    for text in faults.texts:
        print(f"skipped: {text}", file=sys.stderr)
    number, categories, skipped = len(indexed), len(indexed.categories), sum(indexed.skipped.values())
    print(f"{args.out}: {number} segments in {categories} categories, {skipped} skipped")
    for reason, count in sorted(indexed.skipped.items()):
        print(f"  {reason}: {count}")
