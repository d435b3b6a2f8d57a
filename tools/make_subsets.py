"""Writes seeded subsets of a COCO file, each inside the next larger one: `make_subsets.py instances.json --out DIR`."""

import argparse

from sos_mm.annotations.subsets import make_subsets
from sos_mm.cli.ending import command


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", help="COCO, LVIS or panoptic annotation file")
    parser.add_argument("--out", required=True, help="folder of the parts and the lists of their images' ids")
    parser.add_argument("--percents", type=float, nargs="+", default=[1, 10, 50], help="sizes (default: 1 10 50)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    return parser.parse_args()


@command()
def main() -> None:
    """Writes the subsets and prints their paths."""
    args = parse_args()
    subsets = make_subsets(args.annotations, args.out, args.percents, args.seed)
    for each in subsets:
        print(f"{each.percent:g} %: {each.images} images, {each.annotations}, {each.ids}")


if __name__ == "__main__":
    main()
