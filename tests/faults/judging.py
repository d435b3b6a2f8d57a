"""Runs cases of the table of bad inputs and says what is wrong with how each ended."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults import world
from tests.faults.inputs import Case
from tests.faults.running import (
    complaint_about_acceptance,
    complaint_about_finding,
    complaint_about_refusal,
    state,
)
from tests.helpers.commands import run

# The lines that are finished, from which `sos-mm refer` goes on once what it refused is corrected; and locks of a run.
RESUMED = ("words/.referring.jsonl.", "made/.shards/run.lock", "made/.shards/workers.lock")


def judge(case: Case, good: Path, folder: Path) -> str | None:
    """Runs a case in a new copy of the good inputs; returns what is wrong with its end, or None.

    Args:
        case: The case.
        good: Folder of the good inputs.
        folder: The copy; removed at the end.
    """
    shutil.copytree(good, folder)
    try:
        world.write_recipe(folder, world.recipe())
        case.spoil(folder)
        argv = case.argv(folder)
        before = state(folder)
        ended = run(argv)
        if case.expected == "accept":
            return complaint_about_acceptance(ended, case.right, folder)
        if case.expected == "find":
            return complaint_about_finding(ended, case.says)
        if case.expected == "skip" and ended.code == 0:
            page = folder / "page/index.html"
            told = ended.err + ended.out + (page.read_text(encoding="utf-8") if page.exists() else "")
            return None if re.search(case.says, told) else f"the fault is not told: {told[-300:]}"
        wrong = complaint_about_refusal(ended, case.says)
        left = sorted(name for name, _ in state(folder).items() - before.items() if not name.startswith(RESUMED))
        return wrong or (f"half-written: {left[0]}" if left else None)
    finally:
        shutil.rmtree(folder)


def judge_all(cases: Iterable[Case], folder: Path) -> list[tuple[Case, str | None]]:
    """Runs cases; returns each with what is wrong with its end, or None."""
    good = world.build(folder / "good")
    return [(case, judge(case, good, folder / "case")) for case in cases]


def wrong_ones(judged: Iterable[tuple[Case, str | None]]) -> dict[str, str]:
    """Returns what is wrong, by the ids of the cases."""
    return {case.id: wrong for case, wrong in judged if wrong is not None}


# What is right by `Case.expected`, and the columns of the table.
RIGHT = {"refuse": "refused", "find": "reported", "skip": "left out", "accept": "accepted"}
COLUMNS = (*RIGHT.values(), "wrong")


def describe(judged: Sequence[tuple[Case, str | None]]) -> str:
    """Formats a table of how the inputs of each family ended, the shares, and what is wrong.

    Refused: exit code 2 and one line that names file or key, nothing half-written. Reported: exit code 1 and a report
    that names them. Left out: told, the rest done, or refused. Accepted: the result is right.
    """
    rows: dict[str, Counter[str]] = {}
    for case, wrong in judged:
        ended = RIGHT[case.expected] if wrong is None else "wrong"
        for row in (case.family, "all"):
            rows.setdefault(row, Counter())[ended] += 1
    lines = ["| family | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for family in sorted(rows, key=lambda name: (name == "all", name)):
        lines.append(f"| {family} | " + " | ".join(str(rows[family][column]) for column in COLUMNS) + " |")
    found = wrong_ones(judged)
    refusals = [case.id in found for case, _ in judged if case.expected == "refuse"]
    for what, number, of in (
        ("inputs end as they should", len(judged) - len(found), len(judged)),
        ("refusals are clean", len(refusals) - sum(refusals), len(refusals)),
    ):
        lines.append(f"{number} of {of} {what} ({number / max(of, 1):.1%})")
    return "\n".join([*lines, *(f"  {name}: {what}" for name, what in found.items())])
