"""Runs cases of the table of bad inputs and says what is wrong with how each ended."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable
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

# The lines that are finished, from which `sos-mm refer` goes on once what it refused is mended; and locks of a run.
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


def judge_all(cases: Iterable[Case], folder: Path) -> tuple[int, dict[str, str]]:
    """Runs cases; returns their number, and what is wrong by the id of the case."""
    good = world.build(folder / "good")
    wrong, number = {}, 0
    for case in cases:
        number += 1
        found = judge(case, good, folder / "case")
        if found is not None:
            wrong[case.id] = found
    return number, wrong


def describe(number: int, wrong: dict[str, str]) -> str:
    """Formats the share of inputs that ended as they should, and the others."""
    kinds = Counter(
        "a traceback" if each.startswith("a traceback") else each.split(":")[0][:40] for each in wrong.values()
    )
    right = number - len(wrong)
    lines = [f"{right} of {number} bad inputs end as they should ({right / max(number, 1):.1%}); others: {dict(kinds)}"]
    return "\n".join([*lines, *(f"  {name}: {what}" for name, what in wrong.items())])
