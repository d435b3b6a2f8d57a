"""What to do with a segment that cannot or shall not be used: stop there, or leave it out and count it."""

from collections import Counter

from sos_mm.checks import check_choice

BROKEN = ("error", "skip")


class Faults:
    """Meets the errors of single segments.

    Args:
        broken: 'error' raises the first one; 'skip' leaves those segments out and remembers why.
        before: What was met before, to go on from.

    Attributes:
        texts: What was wrong with each segment that was left out; each text names its file.
        counts: How many were left out, by the reason in few words.
    """

    def __init__(self, broken: str = "error", before: "Faults | None" = None):
        check_choice("broken", broken, BROKEN)
        self.broken = broken
        self.texts: list[str] = list(before.texts) if before else []
        self.counts: Counter[str] = Counter(before.counts if before else {})

    def leave_out(self, reason: str, number: int) -> None:
        """Counts segments that are not broken, but that an option leaves out."""
        if number:
            self.counts[reason] += number

    def meet(self, error: Exception) -> None:
        """Raises the error, or counts it by its ``reason``, as of `FaultyInputError`."""
        if self.broken == "error":
            raise error
        self.texts.append(str(error))
        missing = isinstance(error, FileNotFoundError)
        self.counts["missing file" if missing else getattr(error, "reason", "other")] += 1
