"""Prints versions and what is missing: the command `sos-mm env`, in a clone. `--help` says how."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("env"))
