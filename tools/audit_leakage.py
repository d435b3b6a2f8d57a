"""Finds near-duplicates of test data in training data: the command `sos-mm audit`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("audit"))
