"""The report of a validation: counts of records and faults, and the first faults with their lines."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sos_mm.formats.json_reader import AnnotationFileError


@dataclass(frozen=True)
class Fault:
    """A fault in an annotation file, with its line.

    Attributes:
        line: Line in the file, from 1.
        reason: What is wrong; the same text for all faults of a kind.
        detail: The record and the value that are wrong.
    """

    line: int
    reason: str
    detail: str


class Findings:
    """Collects and counts the faults of a file.

    Args:
        path: The file.
        kind: Kind of the file.
        line_of: Converts a position in the file to its line.
        show: Number of faults of each reason to keep.

    Attributes:
        records: Numbers of images, annotations and other records.
        counts: Number of faults by reason.
        first: The first faults of each reason.
    """

    def __init__(self, path: str | Path, kind: str, line_of: Callable[[int], int], show: int = 5):
        self.path, self.kind, self.show = Path(path), kind, show
        self.records, self.counts = Counter[str](), Counter[str]()
        self.first: list[Fault] = []
        self._line_of = line_of

    def add(self, position: int, reason: str, detail: str = "") -> None:
        """Counts a fault at a position in the file, and keeps it if it is one of the first."""
        self.counts[reason] += 1
        if self.counts[reason] <= self.show:
            self.first.append(Fault(self._line_of(position), reason, detail))

    def add_error(self, error: AnnotationFileError, reason: str = "the file must be text of JSON to its end") -> None:
        """Counts a JSON syntax error of the file, or of a line of it, as a fault."""
        self.counts[reason] += 1
        if self.counts[reason] <= self.show:
            self.first.append(Fault(error.line, reason, f"column {error.column}: {error.what}"))

    def describe(self) -> str:
        """Formats the findings as text: a line of counts, then each reason with its first faults by file and line."""
        held = ", ".join(f"{number} {name}" for name, number in self.records.items()) or "nothing"
        lines = [f"{self.path}: {self.kind}, {held}: {self.counts.total() or 'no'} faults"]
        for reason, number in self.counts.most_common():
            lines.append(f"  {number} x {reason}")
            found = [fault for fault in self.first if fault.reason == reason]
            lines += [f"    {self.path}:{fault.line}: {fault.detail}".rstrip(": ") for fault in found]
        return "\n".join(lines)
