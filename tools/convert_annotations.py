"""Converts annotation files: the command `sos-mm convert`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("convert"))
