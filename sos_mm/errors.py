"""The error collector: an input that cannot be used stops the run, or is left out and counted."""

from collections import Counter

from sos_mm.checks import check_choice

BROKEN = ("error", "skip")


class ErrorCollector:
    """Collects the errors of single inputs, such as segments or images.

    Args:
        broken: 'error' raises the first error; 'skip' leaves the input out and keeps the error's message.
        before: Errors recorded before, to which further ones are added.

    Attributes:
        texts: Error message of each input that was left out; each names its file.
        counts: Number of inputs that were left out, by short reason.
    """

    def __init__(self, broken: str = "error", before: "ErrorCollector | None" = None):
        check_choice("broken", broken, BROKEN)
        self.broken = broken
        self.texts: list[str] = list(before.texts) if before else []
        self.counts: Counter[str] = Counter(before.counts if before else {})

    def leave_out(self, reason: str, number: int) -> None:
        """Counts inputs that are valid but excluded by an option."""
        if number:
            self.counts[reason] += number

    def record(self, error: Exception) -> None:
        """Raises the error, or counts it by its ``reason``; see `FaultyInputError`."""
        if self.broken == "error":
            raise error
        self.texts.append(str(error))
        missing = isinstance(error, FileNotFoundError)
        self.counts["missing file" if missing else getattr(error, "reason", "other")] += 1
