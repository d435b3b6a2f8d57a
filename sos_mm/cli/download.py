"""Downloads a released data set from the Hugging Face hub, verifies its checksums, and unpacks its archives.

sos-mm download visualization --out data/soc-visualization --accept-no-licence
sos-mm download fc-segments --out data/soc-fc --categories apple dog --accept-no-licence
sos-mm download OWNER/NAME --out data/theirs

A run that was stopped goes on when the same command is given again. The hub's cache, its address and the token are
those of huggingface_hub (HF_HOME or HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN). `--list` prints the released sets.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import new_parser
from sos_mm.released import CATALOGUE, fetch, find_set
from sos_mm.released.archives import UNPACKERS
from sos_mm.space import format_size


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("download", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="a set of `--list`, or OWNER/NAME of any on the hub")
    parser.add_argument("--list", action="store_true", help="print the released sets and end")
    parser.add_argument("--out", help="folder for the files (default: data/NAME)")
    parser.add_argument("--categories", nargs="+", metavar="CATEGORY", help="unpack these only, and download less")
    parser.add_argument("--revision", help="branch, tag or commit (default: main, or that of earlier runs in OUT)")
    parser.add_argument(
        "--accept-no-licence",
        "--accept-no-license",
        action="store_true",
        help="go on if the data set's card names no licence",
    )
    parser.add_argument(
        "--unpack-with",
        choices=UNPACKERS,
        default="auto",
        help="the program 7-Zip or the library py7zr (default: the program if installed; py7zr for --categories)",
    )
    parser.add_argument("--remove-archives", action="store_true", help="remove unpacked archives from the hub's cache")
    args = parser.parse_args(argv)
    if not args.list and args.name is None:
        parser.error("the following arguments are required: NAME (or --list)")
    return args


@command("interrupted: the same command goes on where it stopped")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Fetches a data set, and prints the banks in it as a recipe takes them."""
    args = parse_args(argv, prog)
    if args.list:
        width = max(len(each.name) for each in CATALOGUE)
        for each in CATALOGUE:
            print(f"{each.name:<{width}}  {each.repository}: {each.contents}")
        return
    source = find_set(args.name)
    fetched = fetch(
        source,
        args.out or Path("data", source.name.replace("/", "-")),
        args.categories,
        revision=args.revision,
        accept_no_licence=args.accept_no_licence,
        unpack_with=args.unpack_with,
        remove_archives=args.remove_archives,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if fetched.kept:
        kept = f"{format_size(fetched.kept)} of archives stay in {fetched.cache}"
        print(f"{kept}; `--remove-archives` removes them", file=sys.stderr)
    for bank in fetched.banks:
        print(f"segments = {_as_code(bank)}")
    if not fetched.banks:
        print(f"no bank of segments was found; the files are in {fetched.folder}")


def _as_code(bank: dict[str, Any]) -> str:
    """Formats a bank's dict as recipes are written."""
    return f"dict({', '.join(f'{key}={value!r}' for key, value in bank.items())})"
