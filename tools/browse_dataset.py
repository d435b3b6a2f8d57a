"""Writes a page about a data set: the command `sos-mm browse`, in a clone. See `--help`."""

import sys

from sos_mm.cli.browse import main

if __name__ == "__main__":
    sys.exit(main())
