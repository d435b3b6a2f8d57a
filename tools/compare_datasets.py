"""Draws the same images of several data sets in a row each, such as naive, relit, and relit and blended ones.

python tools/compare_datasets.py data/naive data/relit data/relit_blended --out ablation.png

The data sets must have images of the same names, as those that `sos-mm relight` makes of one data set have.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sos_mm.checks import check_folder, check_integer
from sos_mm.cli.ending import command
from sos_mm.images import IMAGE_SUFFIXES, read_image
from sos_mm.synthesis.contact_sheet import check_sheet_path, comparison_sheet, write_sheet


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help="folders with a folder `images`, one a column")
    parser.add_argument("--out", required=True, help="the figure, a PNG file")
    parser.add_argument("--num", type=int, default=3, help="number of images (default: 3)")
    parser.add_argument(
        "--first", type=int, default=0, help="place of the first image in the order of names (default: 0)"
    )
    parser.add_argument("--side", type=int, default=320, help="longer side of a drawn image (default: 320)")
    return parser.parse_args(argv)


def shared_names(folders: Sequence[Path]) -> list[str]:
    """Returns the names of the images that all folders have, sorted.

    Raises:
        ValueError: If there are none.
    """
    found = [{path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES} for folder in folders]
    if not (names := sorted(set.intersection(*found))):
        raise ValueError(
            f"The data sets must have images of the same names, but {', '.join(map(str, folders))} have none."
        )
    return names


@command()
def main(argv: Sequence[str] | None = None) -> None:
    """Draws the figure and prints its path."""
    args = parse_args(argv)
    check_sheet_path(args.out)
    for name, low in (("num", 1), ("first", 0), ("side", 16)):
        check_integer(name, getattr(args, name), low, 4096)
    folders = [check_folder(Path(each) / "images", "The folder of images") for each in args.datasets]
    names = shared_names(folders)[args.first : args.first + args.num]
    if not names:
        raise ValueError(f"`first` must be below the number of images, but got {args.first}.")
    columns = {folder.parent.name: [read_image(folder / name, 3) for name in names] for folder in folders}
    write_sheet(args.out, comparison_sheet(columns, args.side))
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
