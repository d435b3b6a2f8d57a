"""Draws segments from words: the command `sos-mm draw`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("draw"))
