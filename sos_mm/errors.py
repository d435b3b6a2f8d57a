"""The error collector: one of many inputs that cannot be used stops the run, or is left out and counted."""

from collections import Counter

from sos_mm.checks import check_choice

BROKEN = ("error", "skip")


class ErrorCollector:
    """Collects the errors of single inputs, such as segments or images.

    Args:
        broken: 'error' raises the first one; 'skip' leaves those inputs out and remembers why.
        before: What was recorded before, to go on from.

    Attributes:
        texts: What was wrong with each input that was left out; each text names its file.
        counts: How many were left out, by the reason in few words.
    """

    def __init__(self, broken: str = "error", before: "ErrorCollector | None" = None):
        check_choice("broken", broken, BROKEN)
        self.broken = broken
        self.texts: list[str] = list(before.texts) if before else []
        self.counts: Counter[str] = Counter(before.counts if before else {})

    def leave_out(self, reason: str, number: int) -> None:
        """Counts inputs that are not broken, but that an option leaves out."""
        if number:
            self.counts[reason] += number

    def record(self, error: Exception) -> None:
        """Raises the error, or counts it by its ``reason``, as of `FaultyInputError`."""
        if self.broken == "error":
            raise error
        self.texts.append(str(error))
        missing = isinstance(error, FileNotFoundError)
        self.counts["missing file" if missing else getattr(error, "reason", "other")] += 1
