"""Notes from which state of the segments, backgrounds and vocabulary the images of a data set came."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.formats.composed import WORK
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.records import OBJECT, OBJECTS, check_record
from sos_mm.synthesis.workspace import SOURCES, replace_file

# What to do where sources have changed since the run began.
ON_CHANGE = ("error", "continue")
_NOTED = {"sources": OBJECT, "left_out": OBJECT, "earlier": OBJECTS}


@dataclass
class SourceStates:
    """The states of the sources of a data set that was continued after they had changed.

    Attributes:
        sources: Content hash by name of the source, at present.
        left_out: Error messages by name of the photographs that are left out at present.
        earlier: For each earlier state its ``sources``, its ``left_out``, and the numbers of its ``shards``.
    """

    sources: dict[str, str]
    left_out: dict[str, str]
    earlier: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, out: Path) -> "SourceStates | None":
        """Reads what an unfinished data set noted; None if it noted nothing."""
        if not (out / WORK / SOURCES).exists():
            return None
        stored = read_json_object(out / WORK / SOURCES, "The list of source fingerprints of an unfinished data set")
        check_record(stored, _NOTED, f"The list of source fingerprints {out / WORK / SOURCES}")
        return cls(stored["sources"], stored["left_out"], stored["earlier"])

    def changed(self, sources: Mapping[str, str]) -> list[str]:
        """Returns the names of the sources that have changed since."""
        return [name for name, value in self.sources.items() if sources.get(name) != value]

    @classmethod
    def check(cls, out: Path, sources: Mapping[str, str], on_change: str) -> None:
        """Compares the sources with those of the start of the run.

        Args:
            out: The folder, locked by `sole_run`.
            sources: Content hash by name of the source.
            on_change: 'error', or 'continue' to make the missing images from the sources of now.

        Raises:
            FileExistsError: If a source has changed, unless ``on_change`` is 'continue'; the vocabulary must never
                change.
        """
        before = cls.read(out)
        different = before.changed(sources) if before else []
        if different and (on_change == "error" or "vocabulary" in different):
            raise FileExistsError(_told(out, different))

    @classmethod
    def note(
        cls, out: Path, sources: Mapping[str, str], left_out: Mapping[str, str], complete: Collection[int]
    ) -> "SourceStates":
        """Stores the content hashes of a run's sources, beside those of earlier states.

        Args:
            out: The folder, locked by `sole_run`.
            sources: Content hash by name of the source.
            left_out: The photographs that are left out.
            complete: Numbers of the complete shards.
        """
        before, now = cls.read(out), cls(dict(sources), dict(left_out))
        if before:
            now.earlier = before.earlier
            if before.changed(sources):
                known = {number for state in before.earlier for number in state["shards"]}
                shards = sorted(set(complete) - known)
                now.earlier.append({"sources": before.sources, "left_out": before.left_out, "shards": shards})
        replace_file(out, out / WORK / SOURCES, [readable_json(vars(now))])
        return now

    def to_manifest(self, shards: Sequence[range], made: Collection[int]) -> dict[str, Any]:
        """Returns what the manifest says of the sources.

        Args:
            shards: Image indices of each shard.
            made: Numbers of the shards that were made from the present state.
        """
        noted: dict[str, Any] = {"sources": self.sources}
        if self.left_out:
            noted["backgrounds_left_out"] = self.left_out
        if self.earlier:
            states, rest = [], set(range(len(shards)))
            for state in self.earlier:
                numbers = sorted(set(state["shards"]) - set(made))
                rest -= set(numbers)
                states.append({**state, "shards": numbers})
            states.append({"sources": self.sources, "left_out": self.left_out, "shards": sorted(rest)})
            for state in states:
                state["images"] = [[shards[number].start, shards[number].stop - 1] for number in state.pop("shards")]
            noted["source_states"] = states
        return noted


def _told(out: Path, different: Sequence[str]) -> str:
    text = (
        f"The {' and the '.join(different)} of the recipe have changed since the run in {out} began: bring back what "
        "they were, or remove the folder and begin anew"
    )
    if "vocabulary" in different:
        return f"{text}."
    return (
        f"{text}; or continue with the sources of now (`--changed-sources continue`): the manifest then says which "
        "images came from which."
    )
