"""Says what is missing from saliency data sets: the command `sos-mm check`, in a clone. `--help` says how."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("check"))
