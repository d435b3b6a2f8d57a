"""What to do with a segment that cannot be used: stop there, or leave it out and count it."""

from sos_mm.checks import check_choice

BROKEN = ("error", "skip")


class Faults:
    """Meets the errors of single segments.

    Args:
        broken: 'error' raises the first one; 'skip' leaves those segments out and remembers why.

    Attributes:
        skipped: What was wrong with each segment that was left out; each text names its file.
    """

    def __init__(self, broken: str = "error"):
        check_choice("broken", broken, BROKEN)
        self.broken = broken
        self.skipped: list[str] = []

    def meet(self, error: Exception) -> None:
        """Raises the error, or counts it."""
        if self.broken == "error":
            raise error
        self.skipped.append(str(error))
