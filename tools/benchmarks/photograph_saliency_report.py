"""The tables of `photograph_saliency.py`: scores with intervals over seeds and over photographs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from photograph_saliency_arms import ARMS
from saliency_study_report import figure, interval

REFERENCES = "references"
# All are means over photographs.
SHOWN = ("Smeasure", "wFmeasure", "MAE", "meanEm")
RESAMPLES = 10000


def report(work: Path, runs: Sequence[tuple[str, int]], baseline: str = "branch") -> str:
    """Formats the figures of all runs that are done as Markdown.

    Args:
        work: Folder of the study.
        runs: Arm and seed of each run.
        baseline: The arm from which differences are given.
    """
    done: dict[str, dict[int, dict]] = {}
    for arm, seed in runs:
        path = work / f"{arm}-{seed}/result.json"
        if path.exists():
            done.setdefault(arm, {})[seed] = json.loads(path.read_text())
    others = {
        path.parent.name: {seed: json.loads(path.read_text()) for seed in range(len(runs))}
        for path in sorted((work / REFERENCES).glob("*/result.json"))
    }
    if not done and not others:
        return f"No run in {work} is done."
    text = score_table(done, others)
    if baseline in done and len(done) + len(others) > 1:
        text += "\n\n" + difference_table(done, others, baseline)
    return text


def score_table(done: Mapping[str, Mapping[int, dict]], others: Mapping[str, Mapping[int, dict]]) -> str:
    """Formats the scores of each arm, mean and interval over seeds, and of the references."""
    lines = [f"| model | runs | processor s | {' | '.join(SHOWN)} |", "| --- |" + " ---: |" * (2 + len(SHOWN))]
    for name, results in others.items():
        cells = [f"{value:.3f}" for value in table(results[0]).mean(0)]
        lines.append(f"| {name} | | | {' | '.join(cells)} |")
    for arm, results in done.items():
        values = np.array([table(each).mean(0) for each in results.values()])
        cells = [figure(*interval(list(column))) for column in values.T]
        spent = [each["processor_seconds"] for each in results.values() if each["processor_seconds"] is not None]
        seconds = f"{np.mean(spent):.0f}" if spent else ""
        lines.append(f"| {ARMS[arm].about} | {len(results)} | {seconds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def difference_table(
    done: Mapping[str, Mapping[int, dict]], others: Mapping[str, Mapping[int, dict]], baseline: str
) -> str:
    """Formats the differences from an arm, paired by seed and photograph, with intervals over photographs."""
    head = f"| beyond {ARMS[baseline].about} | runs | {' | '.join(SHOWN)} |"
    lines = [head, "| --- |" + " ---: |" * (1 + len(SHOWN))]
    for name, results in {**others, **done}.items():
        seeds = sorted(results.keys() & done[baseline].keys())
        if name == baseline or not seeds:
            continue
        gains = np.mean([table(results[seed]) - table(done[baseline][seed]) for seed in seeds], axis=0)
        cells = [f"{gain.mean():+.3f} [{low:+.3f}, {high:+.3f}]" for gain in gains.T for low, high in [bounds(gain)]]
        about = ARMS[name].about if name in done else name
        lines.append(f"| {about} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table(result: Mapping) -> np.ndarray:
    """Returns the shown scores of each photograph, (photographs, scores)."""
    scores = result["scores"]
    return np.array([[scores[name][key] for key in SHOWN] for name in sorted(scores)])


def bounds(values: np.ndarray) -> tuple[float, float]:
    """Computes the 95 % interval of the mean of values for other photographs, by the bootstrap."""
    chosen = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(1), [2.5, 97.5])
    return float(low), float(high)
