"""Tests a model: the command `sos-mm test`, in a clone. See `--help`."""

import sys

from sos_mm.cli.test import main

if __name__ == "__main__":
    sys.exit(main())
