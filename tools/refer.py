"""Writes referring expressions: the command `sos-mm refer`, in a clone. `--help` says how."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("refer"))
