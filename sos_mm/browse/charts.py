"""Charts as SVG: histograms, grouped bars and position maps."""

from collections.abc import Sequence
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 360, 178
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 352, 16, 156
# Distances between the grid lines of a chart, times a power of ten.
_ROUND = (1, 2, 5, 10)


def card(heading: str, about: str, drawing: str) -> str:
    """Returns a chart with its heading and a sentence about it, which may contain HTML."""
    return f'<div class="card"><h3>{escape(heading)}</h3><p class="note">{about}</p>{drawing}</div>'


def histogram(
    ours: np.ndarray,
    labels: Sequence[str],
    ticks: Sequence[tuple[float, str]],
    theirs: np.ndarray | None = None,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Draws shares as bars, and those of another data set as an outline over them.

    Args:
        ours: (B,) float, shares in [0, 1].
        labels: Label of each of the B bars, shown as its tooltip.
        ticks: Positions on the axis, in bars from 0 to B, and their labels.
        theirs: (B,) float, shares of the other data set, or None.
        marks: Positions to mark with a line, and their labels.
    """
    top = _top(max(ours.max(initial=0), 0 if theirs is None else theirs.max(initial=0)))
    width = (_RIGHT - _LEFT) / max(len(ours), 1)
    parts = [_scale(top)]
    for at, share in enumerate(ours):
        gap = min(1.5, width / 6)
        parts.append(_bar(_LEFT + at * width + gap, width - 2 * gap, share / top, "ours", f"{labels[at]}: {share:.2%}"))
    if theirs is not None:
        steps = "".join(f"V{_y(s / top):.1f}H{_LEFT + (at + 1) * width:.1f}" for at, s in enumerate(theirs))
        parts.append(f'<path class="theirs" d="M{_LEFT},{_BOTTOM}{steps}V{_BOTTOM}"/>')
    for at, text in marks:
        x = _LEFT + at * width
        parts.append(f'<path class="mark" d="M{x:.1f},{_TOP - 4}V{_BOTTOM}"/>')
        # On the side with more room.
        anchor, shift = ("start", 4) if x < _RIGHT - 90 else ("end", -4)
        parts.append(f'<text x="{x + shift:.1f}" y="{_TOP - 2}" text-anchor="{anchor}">{escape(text)}</text>')
    parts += [_tick(_LEFT + at * width, text) for at, text in ticks]
    return _svg(parts)


def bar_groups(names: Sequence[str], series: Sequence[tuple[str, str, np.ndarray]]) -> str:
    """Draws shares as bars side by side, one group for each name.

    Args:
        names: Names of the G groups.
        series: Style class, name and (G,) shares of each series.
    """
    top = _top(max(float(shares.max(initial=0)) for _, _, shares in series))
    group = (_RIGHT - _LEFT) / len(names)
    width = min(group * 0.8 / len(series), 34)
    parts = [_scale(top)]
    for at, name in enumerate(names):
        middle = _LEFT + (at + 0.5) * group
        for index, (style, who, shares) in enumerate(series):
            x = middle + (index - len(series) / 2) * width
            parts.append(_bar(x + 1, width - 2, shares[at] / top, style, f"{who}, {name}: {shares[at]:.1%}"))
            y = _y(shares[at] / top) - 3
            parts.append(f'<text x="{x + width / 2:.1f}" y="{y:.1f}" text-anchor="middle">{shares[at]:.0%}</text>')
        parts.append(_tick(middle, name))
    return _svg(parts)


def position_chart(shares: np.ndarray, caption: str, style: str) -> str:
    """Draws a heat map of positions in the image.

    Args:
        shares: (n, n) float.
        caption: Caption below it.
        style: Style class of the cells.
    """
    cells, top = len(shares), shares.max(initial=0) or 1
    width, height = 160 / cells, 120 / cells
    parts = [
        f'<rect class="{style}" x="{column * width:.2f}" y="{row * height:.2f}" width="{width:.2f}" '
        f'height="{height:.2f}" opacity="{shares[row, column] / top:.3f}">'
        f"<title>{shares[row, column]:.2%}</title></rect>"
        for row, column in np.argwhere(shares)
    ]
    drawing = (
        f'<svg viewBox="0 0 160 120" role="img">{"".join(parts)}<rect class="frame" width="160" height="120"/></svg>'
    )
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _y(height: float) -> float:
    return _BOTTOM - height * (_BOTTOM - _TOP)


def _top(share: float) -> float:
    """Returns the upper end of the axis: the next grid line."""
    if share <= 0:
        return 1.0
    step = _step(share)
    return float(np.ceil(share / step - 1e-9) * step)


def _step(share: float) -> float:
    power = 10 ** np.floor(np.log10(share / 4))
    return float(next(each * power for each in _ROUND if each * power >= share / 4 - 1e-12))


def _scale(top: float) -> str:
    step, parts = _step(top), []
    for number in range(round(top / step) + 1):
        y = _y(number * step / top)
        text = f"{100 * number * step:.3g} %" if number else "0"
        parts.append(f'<path class="grid" d="M{_LEFT},{y:.1f}H{_RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    return "".join(parts)


def _bar(x: float, width: float, height: float, style: str, title: str) -> str:
    y = _y(height)
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BOTTOM - y:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _tick(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{_BOTTOM + 14}" text-anchor="middle">{escape(text)}</text>'
