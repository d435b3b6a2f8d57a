"""Cuts out what is salient: the command `sos-mm cutout`, in a clone. `--help` says how."""

import sys

from sos_mm.cli.cutout import main

if __name__ == "__main__":
    sys.exit(main())
