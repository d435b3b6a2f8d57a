"""The tables of `photograph_detection.py`: average precision with intervals over seeds and over photographs."""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from saliency_study_report import figure, interval

from sos_mm.formats.detections import read_detections

RESAMPLES = 500
BESIDE = ("real", "copy_paste")
# Numbers of the last axis of pycocotools' precision: objects of all sizes, 100 detections.
ALL, MOST = 0, -1


def report(work: Path, masks: bool, runs: Sequence[tuple[str, int]]) -> str:
    """Formats the figures of all runs that are done as Markdown."""
    done: dict[str, list[int]] = {}
    for arm, seed in runs:
        if (work / f"{arm}-{seed}/result.json").exists():
            done.setdefault(arm, []).append(seed)
    if not done:
        return f"No run in {work} is done."
    tables = [table(work, kind, done) for kind in (("bbox", "segm") if masks else ("bbox",))]
    spent = [
        json.loads((work / f"{arm}-{seed}/result.json").read_text())["processor_seconds"]
        for arm, seeds in done.items()
        for seed in seeds
    ]
    return "\n\n".join([*tables, f"{len(spent)} runs, {np.mean(spent):.0f} processor seconds each on average."])


def table(work: Path, kind: str, done: Mapping[str, Sequence[int]]) -> str:
    """Formats AP50 and AP of each arm, and its differences in AP50 from the arms in `BESIDE`."""
    name = {"bbox": "box", "segm": "mask"}[kind]
    beyond = " | ".join(f"AP50 beyond {other} | of other photographs" for other in BESIDE)
    lines = [f"| arm | {name} AP50 of each seed | {name} AP50 | {name} AP | {beyond} |"]
    lines.append("| --- |" + " ---: |" * (3 + 2 * len(BESIDE)))
    read = {arm: [Precision(work, f"{arm}-{seed}", kind) for seed in seeds] for arm, seeds in done.items()}
    for arm, runs in read.items():
        all_photographs = np.arange(len(runs[0].images))
        values = np.array([each.of(all_photographs) for each in runs])
        cells = [figure(*interval(list(column)), digits=1) for column in values.T]
        for other in BESIDE:
            cells += differences(runs, read[other]) if arm != other and other in read else ["", ""]
        each_seed = ", ".join(f"{value:.1f}" for value in values[:, 0])
        lines.append(f"| {arm} | {each_seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(runs: Sequence["Precision"], others: Sequence["Precision"]) -> list[str]:
    """Formats the difference in AP50, paired by seed, and its 95 % interval for other test photographs."""
    pairs = list(zip(runs, others, strict=False))
    everything = np.arange(len(runs[0].images))
    gains = [each.of(everything)[0] - other.of(everything)[0] for each, other in pairs]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, len(everything), len(everything))
        drawn.append(np.mean([each.of(chosen)[0] - other.of(chosen)[0] for each, other in pairs]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [figure(*interval(gains), digits=1), f"{low:.1f} to {high:.1f}"]


class Precision:
    """Average precision of one run on any choice of the test photographs, with pycocotools' own matching.

    Args:
        work: The study's folder.
        run: The run's folder in it.
        kind: 'bbox' or 'segm'.
    """

    def __init__(self, work: Path, run: str, kind: str):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(work / "data/val.json"))
            found = read_detections(work / run / f"found.{kind}.json", kind)
            self._evaluation = COCOeval(truth, truth.loadRes(found) if found else COCO(), kind)
            if found:
                self._evaluation.evaluate()
        self._any = bool(found)
        self.images = truth.getImgIds()

    def of(self, chosen: np.ndarray) -> tuple[float, float]:
        """Computes AP50 and AP in percent on photographs, which may be repeated.

        Args:
            chosen: Indices into ``images``.
        """
        if not self._any:
            return 0.0, 0.0
        values = [self._of_class(category, chosen) for category in range(len(self._evaluation.params.catIds))]
        known = [each for each in values if each is not None]
        return tuple(100 * np.mean(known, axis=0))

    def _of_class(self, category: int, chosen: np.ndarray) -> tuple[float, float] | None:
        """Returns AP50 and AP of one class; None if the photographs have no object of it."""
        evaluation, images = self._evaluation, len(self.images)
        areas = len(evaluation.params.areaRng)
        start = category * areas * images
        records = [evaluation.evalImgs[start + index] for index in chosen]
        records = [each for each in records if each is not None]
        number = sum(int((~np.array(each["gtIgnore"], bool)).sum()) for each in records)
        if not number:
            return None
        order = np.argsort(-np.concatenate([each["dtScores"] for each in records]), kind="mergesort")
        matched = np.concatenate([each["dtMatches"] for each in records], axis=1)[:, order] > 0
        ignored = np.concatenate([each["dtIgnore"] for each in records], axis=1)[:, order].astype(bool)
        precisions = [average_precision(hit, skip, number) for hit, skip in zip(matched, ignored, strict=True)]
        return precisions[0], float(np.mean(precisions))


def average_precision(matched: np.ndarray, ignored: np.ndarray, number: int) -> float:
    """Computes COCO's average precision: the mean over 101 recalls of the best precision at that recall or above.

    Args:
        matched: (N,) bool, whether a detection is right, by falling score.
        ignored: (N,) bool, whether it is neither right nor wrong.
        number: Of objects.

    >>> round(average_precision(np.array([True, False]), np.array([False, False]), 1), 3)
    1.0
    """
    hits = np.cumsum(matched & ~ignored)
    misses = np.cumsum(~matched & ~ignored)
    precision = hits / np.maximum(hits + misses, np.finfo(float).eps)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    indices = np.searchsorted(hits / number, np.linspace(0, 1, 101), side="left")
    return float(np.mean(np.append(precision, 0.0)[np.minimum(indices, len(precision))]))
