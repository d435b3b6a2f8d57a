"""Writes referring expressions: the command `sos-mm refer`, in a clone. `--help` says how."""

import sys

from sos_mm.cli.refer import main

if __name__ == "__main__":
    sys.exit(main())
