"""Writes the next recipe from a detector's failures: the command `sos-mm steer`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("steer"))
