"""Finds near-duplicates of test data in training data: `sos-mm audit TRAIN TEST --out leaks.json --page leaks.html`.

sos-mm audit data/composed data/coco/annotations/instances_val2017.json --test-images data/coco/val2017 --mirror
sos-mm audit bank.arrow data/test --fail-on 1

TRAIN and TEST are COCO files, folders of composed data sets, folders of images or of cut-outs (RGBA files), or indexes
of segments. Images are compared with images and cut-outs with cut-outs, by perceptual hashes of 128 bits, which
recompressing and resizing hardly change. The exit code is 1 if `--fail-on` is given and as many test images have a
near-duplicate.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sos_mm.annotations.leakage import audit, write_page
from sos_mm.annotations.leakage.audit import LEAST_SIDE, LIMIT
from sos_mm.atomic import write_atomic
from sos_mm.checks import check_is_not_read, writable_folder
from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("audit", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="training data")
    parser.add_argument("test", help="test data")
    for side in ("train", "test"):
        parser.add_argument(f"--{side}-images", help="folder of the images of a COCO file (default: searched for)")
    parser.add_argument("--out", type=Path, help="JSON file for the near-duplicates")
    parser.add_argument("--page", type=Path, help="HTML file with the pairs side by side")
    parser.add_argument("--num", type=int, default=100, help="pairs on the page, the nearest ones (default: 100)")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help=f"most different bits of 128 of a near-duplicate (default: {LIMIT})"
    )
    parser.add_argument("--mirror", action="store_true", help="find mirrored images too")
    parser.add_argument("--crops", action="store_true", help="find images cropped by 5 %% at any side too; slower")
    parser.add_argument(
        "--least-side",
        type=int,
        default=LEAST_SIDE,
        help=f"leave out images with a smaller height or width (default: {LEAST_SIDE})",
    )
    parser.add_argument("--fail-on", type=int, metavar="N", help="exit code 1 from N test images on (at least 1)")
    parser.add_argument("--workers", type=int, default=1, help="threads that decode (default: 1)")
    args = parser.parse_args(argv)
    if args.fail_on is not None and args.fail_on < 1:
        parser.error(f"--fail-on must be at least 1, but got {args.fail_on}")
    return args


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints the numbers and writes what is asked for; returns 1 if there are as many as ``--fail-on``."""
    args = parse_args(argv, prog)
    for name, out in (("--out", args.out), ("--page", args.page)):
        if out is not None:
            check_is_not_read(name, out, (args.train, args.test))
    images = {"train_images": args.train_images, "test_images": args.test_images}
    options = {key: getattr(args, key) for key in ("limit", "mirror", "crops", "least_side", "workers")}
    found = audit(args.train, args.test, **images, **options, progress=True)
    if args.out:
        writable_folder(args.out.parent, "The folder of the JSON file")
        write_atomic(args.out, (json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
    if args.page:
        write_page(args.page, found, **images, num=args.num)
    print(found.describe())
    for path in filter(None, (args.out, args.page)):
        print(path)
    return int(args.fail_on is not None and len(found.leaks) >= args.fail_on)
