"""Relights a composed data set: the command `sos-mm relight`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("relight"))
