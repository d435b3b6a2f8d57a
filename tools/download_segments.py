"""Downloads a released data set: the command `sos-mm download`, in a clone. See `--help`."""

import sys

from sos_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("download"))
