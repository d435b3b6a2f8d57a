"""Checks the photographs of a data set before its first image.

A photograph that cannot be decoded is found before an hour of composing, not after it.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from sos_mm.checks import FaultyInputError
from sos_mm.composition.backgrounds.factory import Backgrounds
from sos_mm.composition.backgrounds.photographs import PhotoBackgrounds
from sos_mm.formats.composed import WORK
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis.workspace import CHECKED, replace_file
from sos_mm.terminal import progress_bar

# Decoding releases the GIL; more threads would hold many large photographs in memory at once.
_THREADS = 8


def unusable_photographs(backgrounds: Backgrounds, seed: int, num: int, progress: bool = True) -> dict[str, str]:
    """Decodes every photograph that a data set uses, once, and finds those that are broken, missing or too large.

    Of more photographs than images, only those that the images draw are decoded.

    Args:
        backgrounds: The backgrounds; procedural ones have nothing to check.
        seed: The seed of the data set.
        num: Number of its images.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The error messages by the photographs' names; empty if all can be used.

    Raises:
        FaultyInputError: If one cannot be used, unless the backgrounds' ``broken`` is 'skip'.
        ValueError: If none can be used.
    """
    if not isinstance(backgrounds, PhotoBackgrounds):
        return {}
    faults: dict[int, str] = {}
    checked: set[int] = set()
    while to_check := sorted(_drawn(backgrounds, seed, num, faults.keys()) - checked):
        faults |= _decode_all(backgrounds, to_check, progress)
        checked |= set(to_check)
        if faults and backgrounds.broken == "error":
            raise FaultyInputError(
                "cannot be used",
                f"{len(faults)} of the {len(checked)} photographs of the backgrounds cannot be used: "
                f"{faults[min(faults)]} To leave such ones out, set `backgrounds.broken='skip'`.",
            )
    names = backgrounds.names
    return {names[index]: faults[index] for index in sorted(faults)}


def _drawn(backgrounds: PhotoBackgrounds, seed: int, num: int, left_out: Collection[int]) -> set[int]:
    """Returns the indices of the photographs that images draw."""
    every = range(len(backgrounds.photos))
    if len(every) <= num:
        return set(every)
    rest = backgrounds.without([backgrounds.names[index] for index in left_out]) if left_out else backgrounds
    return {rest.draw(generator(seed, Purpose.BACKGROUND, index))[0] for index in range(num)}


def _decode_all(backgrounds: PhotoBackgrounds, indices: Sequence[int], progress: bool) -> dict[int, str]:
    """Decodes photographs in parallel; returns the errors of those that cannot be used."""

    def fault_of(index: int) -> str:
        try:
            backgrounds.photos[index].read()
        except (FileNotFoundError, ValueError) as error:
            return str(error)
        return ""

    pool = ThreadPoolExecutor(min(_THREADS, cpu_count() or 1))
    try:
        with progress_bar(pool.map(fault_of, indices), total=len(indices), unit="photographs", shown=progress) as bar:
            return {index: fault for index, fault in zip(indices, bar, strict=True) if fault}
    finally:
        pool.shutdown(cancel_futures=True)


def check_once(out: Path, fingerprint: str, check: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Returns what a check found, from the folder of an unfinished data set if it was done for the same photographs.

    Args:
        out: The folder, locked by `sole_run`.
        fingerprint: Content hash of the backgrounds.
        check: Does the check; see `unusable_photographs`.
    """
    path = out / WORK / CHECKED
    if path.exists():
        before = read_json_object(path, "The list of checked backgrounds of an unfinished data set")
        if before.get("fingerprint") == fingerprint:
            return dict(before["unusable"])
    found = check()
    replace_file(out, path, [readable_json({"fingerprint": fingerprint, "unusable": found})])
    return found
