"""Cuts out salient objects: the command `sos-mm cutout`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("cutout"))
