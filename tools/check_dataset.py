"""Says what is missing from saliency data sets: `python tools/check_dataset.py data/DUTS-TE data/ECSSD`.

A folder named like a public data set (DUTS-TR, DUTS-TE, DUT-OMRON, ECSSD, PASCAL-S, HKU-IS, NJU2K, NLPR, STERE, SIP,
VT821, VT1000, VT5000) is looked at as that set was distributed; any other must hold `images` and `masks`.
"""

import argparse
import sys
from pathlib import Path

from sos_mm.saliency import SaliencyDataset
from sos_mm.saliency.benchmarks import BENCHMARKS
from sos_mm.saliency.inspection import describe, inspect_dataset


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="folders of data sets")
    parser.add_argument("--benchmark", choices=BENCHMARKS, help="which one it is, if its name does not say so")
    return parser.parse_args()


def main() -> int:
    """Prints what was found; 1 if anything is missing."""
    args = parse_args()
    found, missing = [], []
    for folder in args.folders:
        try:
            found.append(inspect_dataset(SaliencyDataset(str(Path(folder).resolve()), benchmark=args.benchmark)))
        except (OSError, ValueError) as error:
            missing.append(f"{Path(folder).name}: MISSING: {error}")
    print("\n".join([describe(found)] * bool(found) + missing))
    return int(bool(missing) or not all(each.complete for each in found))


if __name__ == "__main__":
    sys.exit(main())
