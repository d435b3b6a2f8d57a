"""Builds the index of a bank: the command `sos-mm index`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("index"))
