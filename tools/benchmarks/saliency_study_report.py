"""The study's figures as JSON, as Markdown and as curves."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from sos_mm.checks import require

SHOWN = ("Smeasure", "wFmeasure", "MAE", "maxFm")
STEPS = (1, 2, 4, 10, 20)
# Two-sided 95 % points of Student's t by the number of runs.
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


def interval(values: list[float]) -> tuple[float, float | None]:
    """Computes the mean and half the width of its 95 % interval; None for a single value, or more than five."""
    mean = statistics.fmean(values)
    if len(values) not in T_95:
        return mean, None
    return mean, T_95[len(values)] * statistics.stdev(values) / len(values) ** 0.5


def summary(references: dict, results: dict[str, list[dict]]) -> dict:
    """Computes means and intervals of all figures by variant."""
    rows = {name: {key: (scores[key], None) for key in SHOWN} for name, scores in references.items()}
    judged_as = {}
    for name, runs in results.items():
        ways = {
            way: {key: interval([each["scores"][way][f"sod/{key}"] for each in runs]) for key in SHOWN}
            for way in runs[0]["scores"]
        }
        rows[name] = ways.pop("itself")
        judged_as[name] = ways
    keys = ("iterations", "seconds", "parameters")
    runs = {name: [{key: each[key] for key in keys} for each in runs] for name, runs in results.items()}
    learned_values = {name: [each["learned"] for each in runs] for name, runs in results.items()}
    drifts = [each["drift"] for each in results.get("full", []) if "drift" in each]
    return dict(rows=rows, other_ways=judged_as, runs=runs, learned=learned_values, drift=mean_drift(drifts))


def mean_drift(runs: list[dict]) -> dict[str, dict[str, tuple[float, float | None]]]:
    """Computes means and intervals of the errors by kind and timestep."""
    if not runs:
        return {}
    return {
        kind: {time: interval([each[kind][time] for each in runs]) for time in times} for kind, times in runs[0].items()
    }


def as_markdown(found: dict, about: Mapping[str, str]) -> str:
    """Formats the tables as text; ``about`` describes the variants."""
    lines = table_head("model", "runs", "iterations", "processor s")
    for name, scores in found["rows"].items():
        runs = found["runs"].get(name)
        model, facts = name, ["", "", ""]
        if runs:
            model = about[name] + ("" if len(runs) > 1 else " (indicative)")
            facts = [str(len(runs)), str(runs[0]["iterations"]), f"{statistics.fmean(r['seconds'] for r in runs):.0f}"]
        lines.append(table_row(model, *facts, scores=scores))
    for name, ways in found["other_ways"].items():
        if ways:
            lines += ["", f"`{name}`, the same runs judged in other ways:", "", *table_head("way")]
            lines += [table_row(way, scores=scores) for way, scores in ways.items()]
    if found["drift"]:
        lines += [
            "",
            "`full`, mean absolute error of the estimated mask while noise falls:",
            "",
            *drift_table(found["drift"]),
        ]
    return "\n".join(lines) + "\n"


def drift_table(drift: dict) -> list[str]:
    """Formats one Markdown row for each timestep."""
    lines = [f"| timestep | {' | '.join(drift)} |", "| ---: |" + " ---: |" * len(drift)]
    for time in next(iter(drift.values())):
        lines.append(f"| {time} | {' | '.join(figure(*times[time]) for times in drift.values())} |")
    return lines


def figure(mean: float, half: float | None, digits: int = 3) -> str:
    """Formats a mean and half the width of its interval."""
    return f"{mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def table_head(*columns: str) -> list[str]:
    """Formats two lines of Markdown; figures are right-aligned."""
    cells = [*columns, *SHOWN]
    return [f"| {' | '.join(cells)} |", "| --- |" + " ---: |" * (len(cells) - 1)]


def table_row(*cells: str, scores: dict) -> str:
    """Formats one line of Markdown."""
    figures = [figure(*scores[key]) for key in SHOWN]
    return f"| {' | '.join([*cells, *figures])} |"


def plot_steps(ways: dict, branch: dict, path: Path) -> None:
    """Plots quality against the number of steps, with intervals, and the branch alone as a line."""
    require("matplotlib", "Drawing curves", "pip install matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(12, 3.4), layout="constrained"))
    for panel, key in zip(canvas.figure.subplots(1, len(SHOWN)), SHOWN, strict=True):
        points = [ways[f"{steps} steps"][key] for steps in STEPS]
        panel.errorbar(STEPS, [mean for mean, _ in points], [half or 0 for _, half in points], marker="o", capsize=3)
        panel.axhline(branch[key][0], color="grey", linestyle="--", label="branch alone")
        panel.set(xscale="log", xticks=STEPS, xticklabels=STEPS, xlabel="steps", title=key)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    canvas.figure.savefig(path, dpi=100)


def write_report(
    out: Path, settings: dict, references: dict, results: dict[str, list[dict]], about: Mapping[str, str]
) -> str:
    """Writes the results so far; returns the tables.

    Args:
        out: Gets `study.json`, `study.md` and `steps.png`.
        settings: Of the study.
        references: Scores of what needs no network, by name.
        results: What the runs gave, by variant.
        about: What each variant is.
    """
    found = summary(references, results)
    (out / "study.json").write_text(json.dumps(dict(settings=settings, **found), indent=1))
    text = as_markdown(found, about)
    (out / "study.md").write_text(text, encoding="utf-8")
    if {"full", "branch"} <= results.keys():
        plot_steps(found["other_ways"]["full"], found["rows"]["branch"], out / "steps.png")
    return text
