"""Runs the command `sos-mm` as ``python -m sos_mm``, which ``torchrun -m sos_mm train`` starts in every process."""

import sys

from sos_mm.cli import main

if __name__ == "__main__":
    sys.exit(main())
