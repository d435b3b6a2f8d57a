"""Plots of precision-recall, F-measure and E-measure curves."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sos_mm.checks import require
from sos_mm.metrics.thresholds import Curves


def plot_curves(named: Mapping[str, Curves], path: str | Path) -> None:
    """Plots curves averaged over images, one line for each name, and writes them as a PNG file.

    Args:
        named: Curves of a model on a data set, by their label in the legend.
        path: The file; its folder is created.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If there are no curves, or the file's name does not end in ``.png``.
    """
    path = Path(path)
    if not named:
        raise ValueError("`named` must hold the curves of one model at least, but is empty.")
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in .png, but got {path}.")
    require("matplotlib", "Drawing curves", "pip install matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(13, 4.2), layout="constrained"))
    panels = canvas.figure.subplots(1, 3)
    thresholds = np.arange(256)
    for name, curves in named.items():
        panels[0].plot(curves.recall, curves.precision, label=name)
        panels[1].plot(thresholds, curves.f_measure, label=f"{name} (max {curves.f_measure.max():.4f})")
        panels[2].plot(thresholds, curves.e_measure, label=f"{name} (max {curves.e_measure.max():.4f})")
    panels[0].set(xlabel="recall", ylabel="precision", xlim=(0, 1))
    panels[1].set(xlabel="threshold", ylabel="F-measure", xlim=(0, 255))
    panels[2].set(xlabel="threshold", ylabel="E-measure", xlim=(0, 255))
    for panel in panels:
        panel.set_ylim(0, 1.01)
        panel.grid(alpha=0.3)
        panel.legend(loc="lower center", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.figure.savefig(path, dpi=100)
