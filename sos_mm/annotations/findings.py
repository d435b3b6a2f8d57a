"""What is found in an annotation file: how much of what, which faults, how often, and where first."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sos_mm.formats.json_reader import AnnotationFileError


@dataclass(frozen=True)
class Fault:
    """A fault and its place.

    Attributes:
        line: Line in the file, from 1.
        reason: What is wrong, in words that fit all of its kind.
        detail: Of what, and what stands there.
    """

    line: int
    reason: str
    detail: str


class Findings:
    """Gathers them.

    Args:
        path: The file.
        kind: What it is.
        line_of: Turns a place in the file into its line.
        show: How many faults of each reason to keep.

    Attributes:
        records: How many images, annotations and the like there are.
        counts: How many faults, by reason.
        first: The first faults of each reason.
    """

    def __init__(self, path: str | Path, kind: str, line_of: Callable[[int], int], show: int = 5):
        self.path, self.kind, self.show = Path(path), kind, show
        self.records, self.counts = Counter[str](), Counter[str]()
        self.first: list[Fault] = []
        self._line_of = line_of

    def add(self, place: int, reason: str, detail: str = "") -> None:
        """Counts a fault at a place in the file, and keeps it if it is one of the first."""
        self.counts[reason] += 1
        if self.counts[reason] <= self.show:
            self.first.append(Fault(self._line_of(place), reason, detail))

    def add_error(self, error: AnnotationFileError, reason: str = "the file must be text of JSON to its end") -> None:
        """Counts that the file, or a line of it, is not JSON from some place on."""
        self.counts[reason] += 1
        if self.counts[reason] <= self.show:
            self.first.append(Fault(error.line, reason, f"column {error.column}: {error.what}"))

    def describe(self) -> str:
        """Returns all of it as text: a line of counts, then each reason with its first faults by file and line."""
        held = ", ".join(f"{number} {name}" for name, number in self.records.items()) or "nothing"
        lines = [f"{self.path}: {self.kind}, {held}: {self.counts.total() or 'no'} faults"]
        for reason, number in self.counts.most_common():
            lines.append(f"  {number} x {reason}")
            found = [fault for fault in self.first if fault.reason == reason]
            lines += [f"    {self.path}:{fault.line}: {fault.detail}".rstrip(": ") for fault in found]
        return "\n".join(lines)
