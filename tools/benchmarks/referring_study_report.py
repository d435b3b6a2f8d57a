"""Scores of the referring study: of each question, their means, and the tables with intervals."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from referring_study_data import ARMS, KINDS
from saliency_study_report import T_95, figure, interval

from sos_mm.metrics.grounding import box_ious, intra_class_scores

Predictions = Sequence[tuple[np.ndarray, np.ndarray]]
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 19))
IOU = 0.5
# Columns: of which questions, and which score of each. All are percentages, the gap a difference of two.
FIGURES: dict[str, tuple[Callable[[Mapping], bool], str]] = {
    "P@1": (lambda each: each["wording"] != "grammar" and "hit" in each, "hit"),
    **{
        f"P@1 {kind}": (
            lambda each, kind=kind: each["wording"] != "grammar" and "hit" in each and each["kind"] == kind,
            "hit",
        )
        for kind in KINDS
    },
    "P@1 grammar's words": (lambda each: each["wording"] == "grammar", "hit"),
    "F1": (lambda each: each["wording"] != "grammar", "exact"),
    "T acc": (lambda each: each["wording"] != "grammar" and each["number"] > 0, "answered"),
    "N acc": (lambda each: each["number"] == 0, "silent"),
    "average gap": (lambda each: each["wording"] != "grammar" and "gap" in each, "gap"),
    "positive gap ratio": (lambda each: each["wording"] != "grammar" and "gap" in each, "positive"),
}
RESAMPLES = 2000


def outcomes(details: Sequence[dict], predictions: Predictions, threshold: float) -> dict:
    """Scores each question, and takes the means.

    Args:
        details: The questions.
        predictions: Boxes and scores of each, highest first.
        threshold: Least score of an answer, for gRefCOCO's figures.

    Returns:
        ``questions``, a record for each, and ``summary``, the figures in percent; ``no-target AUROC`` is the chance
        that the best score of a question with targets is above that of one without.
    """
    questions = [question(*pair, threshold) for pair in zip(details, predictions, strict=True)]
    summary = {name: mean_of(questions, name) for name in FIGURES}
    best = {flag: [] for flag in (True, False)}
    for each in questions:
        if each["wording"] != "grammar":
            best[each["number"] > 0].append(each["best"])
    summary["no-target AUROC"] = 100 * auroc(best[True], best[False])
    return {"questions": questions, "summary": summary}


def question(details: Mapping, prediction: tuple[np.ndarray, np.ndarray], threshold: float) -> dict:
    """Scores one question."""
    boxes, scores = prediction
    targets = details["targets"]
    kept = boxes[scores >= threshold]
    found = {key: details[key] for key in ("id", "image", "kind", "wording")} | {"number": len(targets)}
    found |= {"best": float(scores[0]), "exact": exact(kept, targets), "answered": len(kept) > 0}
    found["silent"] = not found["answered"]
    if len(targets) == 1:
        found["hit"] = bool(box_ious(boxes[:1], targets)[0, 0] >= IOU)
    if details["distractors"]:
        on_target, on_distractor = intra_class_scores(boxes, scores, targets, details["distractors"], IOU)
        found["gap"] = (on_target or 0.0) - (on_distractor or 0.0)
        found["positive"] = found["gap"] > 0
    return found


def exact(answers: np.ndarray, targets: Sequence[Sequence[float]]) -> bool:
    """Whether the answers are the targets, each found once (an F1 of 1, as gRefCOCO counts); none if there are none.

    Pairs are matched greedily by their overlap, as mmdet's `gRefCOCOMetric` does, but with all targets.
    """
    if len(answers) != len(targets):
        return False
    ious = box_ious(answers, np.array(targets, float).reshape(-1, 4))
    for _ in targets:
        row, column = np.unravel_index(ious.argmax(), ious.shape)
        if ious[row, column] < IOU:
            return False
        ious[row], ious[:, column] = 0, 0
    return True


def choose_threshold(details: Sequence[dict], predictions: Predictions) -> float:
    """Chooses the score threshold with the best F1, the lowest of equal ones."""

    def share(threshold: float) -> float:
        pairs = zip(details, predictions, strict=True)
        return statistics.fmean(
            exact(boxes[scores >= threshold], each["targets"])
            for each, (boxes, scores) in pairs
            if each["wording"] != "grammar"
        )

    return max(THRESHOLDS, key=share)


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Computes the share of pairs in the right order; equal values count half."""
    differences = np.subtract.outer(np.array(higher), np.array(lower))
    return float(((differences > 0) + (differences == 0) / 2).mean())


def mean_of(questions: Sequence[Mapping], name: str) -> float | None:
    """Computes a figure in percent; None if no question counts for it."""
    chosen, key = FIGURES[name]
    values = [each[key] for each in questions if chosen(each)]
    return 100 * statistics.fmean(values) if values else None


def report(folder: Path, runs: Sequence[tuple[str, int]]) -> str:
    """Formats the figures of the runs that are done as Markdown.

    The first table has means over seeds with 95 % intervals (Student's t, over seeds). The second has differences from
    the arm 'proved', means over seeds, with 95 % intervals of a paired bootstrap over the test images, each with all
    its questions: they say how far the questions matter, not how far the seeds do.
    """
    results: dict[str, list[dict]] = {}
    for arm, seed in runs:
        path = folder / f"{arm}-{seed}/result.json"
        if path.exists():
            results.setdefault(arm, []).append(json.loads(path.read_text()))
    if not results:
        return f"No run in {folder} is done."
    lines = figures_table(results)
    if "proved" in results and len(results) > 1:
        lines += ["", "Differences from proved expressions:", "", *differences_table(results)]
    lines += ["", *chance(json.loads((folder / "data/test/questions_details.json").read_text()))]
    return "\n".join(lines)


def figures_table(results: Mapping[str, list[dict]]) -> list[str]:
    """Returns lines of Markdown with the mean figures of each arm."""
    names = list(next(iter(results.values()))[0]["summary"])
    lines = [f"| trained on | runs | {' | '.join(names)} | P@1, training images | threshold | processor s |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 4))
    for arm, runs in results.items():
        cells = [ARMS[arm], str(len(runs))]
        cells += [_mean([each["summary"][name] for each in runs]) for name in names]
        cells.append(_mean([each["training_summary"]["P@1"] for each in runs]))
        cells.append("/".join(str(each["threshold"]) for each in runs))
        cells.append(f"{statistics.fmean(each['processor_seconds']['all'] for each in runs):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return (
        figure(*interval(known), digits=1)
        if len(known) in T_95 or len(known) == 1
        else f"{statistics.fmean(known):.1f}"
    )


def differences_table(results: Mapping[str, list[dict]]) -> list[str]:
    """Returns lines of Markdown with the differences of each arm from 'proved'."""
    lines = [f"| trained on | {' | '.join(FIGURES)} |", "| --- |" + " ---: |" * len(FIGURES)]
    for arm in results:
        if arm != "proved":
            cells = [difference(results[arm], results["proved"], name) for name in FIGURES]
            lines.append(f"| {ARMS[arm]} | {' | '.join(cells)} |")
    return lines


def difference(runs: Sequence[dict], others: Sequence[dict], name: str) -> str:
    """Formats the difference of two arms with the 95 % interval of a paired bootstrap over images."""
    chosen, key = FIGURES[name]
    seeds = min(len(runs), len(others))
    rows = []
    for pair in zip(*(each["questions"] for each in (*runs[:seeds], *others[:seeds])), strict=True):
        if chosen(pair[0]):
            values = [each[key] for each in pair]
            rows.append((pair[0]["image"], np.mean(values[:seeds]) - np.mean(values[seeds:])))
    if not rows:
        return "-"
    images = sorted({image for image, _ in rows})
    index_of = {image: number for number, image in enumerate(images)}
    sums, counts = np.zeros(len(images)), np.zeros(len(images))
    for image, value in rows:
        sums[index_of[image]] += 100 * value
        counts[index_of[image]] += 1
    drawn = np.random.default_rng(0).integers(len(images), size=(RESAMPLES, len(images)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return f"{sums.sum() / counts.sum():+.1f} [{low:+.1f}, {high:+.1f}]"


def chance(details: Sequence[Mapping]) -> list[str]:
    """Returns what P@1 is by chance, and how many questions there are."""
    single = [each for each in details if len(each["targets"]) == 1 and each["wording"] != "grammar"]
    rates = [
        100 * statistics.fmean(1 / number for number in numbers)
        for numbers in (
            [each["objects"] for each in single],
            [1 + len(each["distractors"]) for each in single],
        )
    ]
    none = sum(not each["targets"] for each in details)
    several = sum(len(each["targets"]) > 1 for each in details)
    intra_class = sum(bool(each["distractors"]) for each in single)
    return [
        f"Questions: {len(single)} of a single target ({intra_class} of them with others of its category), {several} "
        f"of several, {none} without. P@1 of a perfect detector that picks any object is {rates[0]:.1f}, of one that "
        f"picks any of the target's category {rates[1]:.1f}."
    ]
