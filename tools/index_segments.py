"""Makes the index of a bank: the command `sos-mm index`, in a clone. `--help` says how."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("index"))
