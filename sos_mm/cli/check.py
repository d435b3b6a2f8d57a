"""Checks saliency data sets for missing files: `sos-mm check data/DUTS-TE data/ECSSD`.

A folder named like a public data set (DUTS-TR, DUTS-TE, DUT-OMRON, ECSSD, PASCAL-S, HKU-IS, NJU2K, NLPR, STERE, SIP,
VT821, VT1000, VT5000) is checked against the layout in which that data set is distributed; any other must hold `images`
and `masks`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.saliency import SaliencyDataset
from sos_mm.saliency.apis.inspection import describe, inspect_dataset
from sos_mm.saliency.data.benchmarks import BENCHMARKS


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("check", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="folders of data sets")
    parser.add_argument("--benchmark", choices=BENCHMARKS, help="which one it is, if its name does not say so")
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints the findings; returns 1 if anything is missing."""
    args = parse_args(argv, prog)
    found, missing = [], []
    for folder in args.folders:
        try:
            found.append(inspect_dataset(SaliencyDataset(str(Path(folder).resolve()), benchmark=args.benchmark)))
        except (OSError, ValueError) as error:
            missing.append(f"{Path(folder).name}: MISSING: {error}")
    print("\n".join([describe(found)] * bool(found) + missing))
    return int(bool(missing) or not all(each.complete for each in found))
