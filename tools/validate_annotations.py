"""Checks annotation files: the command `sos-mm validate`, in a clone. `--help` says how."""

import sys

from sos_mm.cli.validate import main

if __name__ == "__main__":
    sys.exit(main())
