"""Writes a page about a data set: `sos-mm browse data/composed --out pages/composed`.

Reads COCO and LVIS instances, COCO panoptic, ODVG lines, saliency pairs, and data sets of `sos-mm synthesize`.
"""

import argparse
from collections.abc import Sequence

from sos_mm.browse import write_report
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.errors import BROKEN


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("browse", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder or annotation file of the data set")
    parser.add_argument("--out", required=True, help="folder of the page")
    parser.add_argument("--images", help="folder of the images (default: searched for beside the annotations)")
    parser.add_argument("--masks", help="folder of the masks, for saliency data with unusual names")
    parser.add_argument("--expressions", help="file of referring expressions (default: that of a composed data set)")
    parser.add_argument("--num", type=int, default=24, help="images to show (default: 24)")
    parser.add_argument("--seed", type=int, default=0, help="decides which (default: 0)")
    parser.add_argument("--compare", help="annotation file to compare with, such as instances_val2017.json")
    parser.add_argument(
        "--broken",
        choices=BROKEN,
        default="error",
        help="what to do about missing images and broken entries; 'skip' names them on the page (default: error)",
    )
    parser.add_argument("--max-side", type=int, default=1600, help="reduce larger images to this (default: 1600)")
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes the page and prints its path."""
    args = vars(parse_args(argv, prog))
    page = write_report(args.pop("data"), args.pop("out"), **args, progress=True)
    print(page)
