"""Processes that need one another."""

import subprocess
import time
from collections.abc import Sequence


def exit_codes(running: Sequence[subprocess.Popen]) -> list[int]:
    """Waits for all; one that fails ends the others, which would wait for it for good."""
    while None in (codes := [process.poll() for process in running]):
        if any(codes):
            for process in running:
                process.kill()
        time.sleep(0.05)
    return codes
