"""Trains a model: the command `sos-mm train`, in a clone. See `--help`."""

import sys

from sos_mm.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
