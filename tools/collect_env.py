"""Prints versions and missing dependencies: the command `sos-mm env`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("env"))
