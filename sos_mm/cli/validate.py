"""Validates annotation files: COCO, LVIS, panoptic, ODVG, RefCOCO, gRefCOCO; `sos-mm validate FILE ...`.

Prints what is wrong, how often, and in which line first. The exit code is 1 if there are faults. An ordinary COCO file
of a million annotations takes tens of seconds: see `tools/benchmarks/annotations.py`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sos_mm.annotations.options import Options
from sos_mm.annotations.validate import KINDS, validate
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("validate", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="annotation files")
    parser.add_argument("--kind", choices=KINDS, help="what they are (default: found out)")
    parser.add_argument("--images", type=Path, help="folder of the image files; of an LVIS file, the one above it")
    parser.add_argument("--masks", type=Path, help="folder of a panoptic file's PNGs, to compare their pixels")
    parser.add_argument("--label-map", type=Path, help="file of the names of ODVG's labels")
    parser.add_argument("--tolerance", type=float, default=0.5, help="pixels over an image's edge (default: 0.5)")
    parser.add_argument("--show", type=int, default=5, help="how many faults of each kind to show (default: 5)")
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints the findings; returns 1 if there are faults."""
    args, code = parse_args(argv, prog), 0
    options = Options(args.images, args.masks, args.label_map, args.tolerance, args.show)
    for path in args.files:
        found = validate(path, args.kind, options)
        print(found.describe(), flush=True)
        code |= bool(found.counts)
    return code
