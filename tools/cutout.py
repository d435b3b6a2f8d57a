"""Cuts out salient objects: the command `sos-mm cutout`, in a clone. See `--help`."""

import sys

from sos_mm.cli.cutout import main

if __name__ == "__main__":
    sys.exit(main())
