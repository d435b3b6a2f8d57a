"""Charts as SVG: histograms, grouped bars and position maps."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sos_mm.page import join, part

_WIDTH, _HEIGHT = 360, 178
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 352, 16, 156
# Distances between the grid lines of a chart, times a power of ten.
_ROUND = (1, 2, 5, 10)


def histogram(
    ours: np.ndarray,
    labels: Sequence[str],
    ticks: Sequence[tuple[float, str]],
    theirs: np.ndarray | None = None,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
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
    for column, share in enumerate(ours):
        gap = min(1.5, width / 6)
        parts.append(
            _bar(_LEFT + column * width + gap, width - 2 * gap, share / top, "ours", f"{labels[column]}: {share:.2%}")
        )
    if theirs is not None:
        steps = "".join(f"V{_y(s / top):.1f}H{_LEFT + (column + 1) * width:.1f}" for column, s in enumerate(theirs))
        parts.append(_path("theirs", f"M{_LEFT},{_BOTTOM}{steps}V{_BOTTOM}"))
    for position, text in marks:
        x = _LEFT + position * width
        parts.append(_path("mark", f"M{x:.1f},{_TOP - 4}V{_BOTTOM}"))
        # On the side with more room.
        anchor, shift = ("start", 4) if x < _RIGHT - 90 else ("end", -4)
        parts.append(_text(f"{x + shift:.1f}", f"{_TOP - 2}", anchor, text))
    parts += [_tick(_LEFT + column * width, text) for column, text in ticks]
    return _svg(parts)


def bar_groups(names: Sequence[str], series: Sequence[tuple[str, str, np.ndarray]]) -> Markup:
    """Draws shares as bars side by side, one group for each name.

    Args:
        names: Names of the G groups.
        series: Style class, name and (G,) shares of each series.
    """
    top = _top(max(float(shares.max(initial=0)) for _, _, shares in series))
    group = (_RIGHT - _LEFT) / len(names)
    width = min(group * 0.8 / len(series), 34)
    parts = [_scale(top)]
    for column, name in enumerate(names):
        middle = _LEFT + (column + 0.5) * group
        for index, (style, who, shares) in enumerate(series):
            x = middle + (index - len(series) / 2) * width
            parts.append(_bar(x + 1, width - 2, shares[column] / top, style, f"{who}, {name}: {shares[column]:.1%}"))
            y = _y(shares[column] / top) - 3
            parts.append(_text(f"{x + width / 2:.1f}", f"{y:.1f}", "middle", f"{shares[column]:.0%}"))
        parts.append(_tick(middle, name))
    return _svg(parts)


def position_chart(shares: np.ndarray, caption: str, style: str) -> Markup:
    """Draws a heat map of positions in the image.

    Args:
        shares: (n, n) float.
        caption: Caption below it.
        style: Style class of the cells.
    """
    cells, top = len(shares), shares.max(initial=0) or 1
    width, height = 160 / cells, 120 / cells
    cell = Markup(
        '<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" opacity="{:.3f}">'
        "<title>{:.2%}</title></rect>"
    )
    parts = [
        cell.format(style, column * width, row * height, width, height, shares[row, column] / top, shares[row, column])
        for row, column in np.argwhere(shares)
    ]
    parts.append(Markup('<rect class="frame" width="160" height="120"/>'))
    return part("figure", _svg(parts, 160, 120), caption)


def _svg(parts: Sequence[Markup], width: int = _WIDTH, height: int = _HEIGHT) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img">{}</svg>').format(width, height, join(parts))


def _path(style: str, path: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(style, path)


def _text(x: str, y: str, anchor: str, text: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


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


def _scale(top: float) -> Markup:
    step, parts = _step(top), []
    for number in range(round(top / step) + 1):
        y = _y(number * step / top)
        text = f"{100 * number * step:.3g} %" if number else "0"
        parts.append(_path("grid", f"M{_LEFT},{y:.1f}H{_RIGHT}"))
        parts.append(_text(f"{_LEFT - 5}", f"{y + 3.5:.1f}", "end", text))
    return join(parts)


def _bar(x: float, width: float, height: float, style: str, title: str) -> Markup:
    y = _y(height)
    bar = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
    return bar.format(style, x, y, width, _BOTTOM - y, title)


def _tick(x: float, text: str) -> Markup:
    return _text(f"{x:.1f}", f"{_BOTTOM + 14}", "middle", text)
