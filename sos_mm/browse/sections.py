"""The static parts of a data set's page as HTML: figures, charts, repeats and errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from sos_mm.browse import statistics
from sos_mm.browse.charts import bar_groups, histogram, position_chart
from sos_mm.browse.dataset import DataSet
from sos_mm.browse.statistics import SIZE_NAMES, Figures
from sos_mm.page import join, part


@dataclass(frozen=True)
class Published:
    """The published figures of COCO, as means and shares.

    Attributes:
        objects, classes: Means over images. T.-Y. Lin et al., Microsoft COCO, ECCV 2014, section 5.
        sizes: Shares of small, medium and large objects. cocodataset.org, "Detection Evaluate", section 2.
    """

    objects: float = 7.7
    classes: float = 3.5
    sizes: tuple[float, float, float] = (0.41, 0.34, 0.24)


COCO = Published()
SOURCE = (
    "COCO's published figures: 7.7 objects and 3.5 classes an image (Lin et al., Microsoft COCO, ECCV 2014, section "
    "5); 41, 34 and 24 % small, medium and large objects (cocodataset.org, Detection Evaluate). It publishes none "
    "for the other charts: give an annotation file of COCO to compare with to see its own."
)
# Cells a side of the position map: finer if there are enough objects to fill it.
_COARSE, _FINE, _MANY = 8, 16, 4000
_LISTED = 200


def tiles(data_set: DataSet, stats: Figures) -> Markup:
    """Formats the figures at the top of the page as HTML."""
    images, objects = len(data_set.images), len(stats.area)
    shown = [("images", f"{images:,}", _sizes(stats.size))]
    if data_set.is_saliency:
        share = (stats.area / stats.size[stats.image].prod(axis=1)).mean() if objects else 0
        shown += [
            ("with a salient region", f"{objects:,}", f"{images - objects:,} without"),
            ("mean share of the image", f"{share:.1%}", "that is salient"),
        ]
        return part("tiles", shown)
    counts, (of_image, classes) = statistics.per_class(stats)[0], statistics.per_image(stats)
    more = [f"{stats.stuff:,} background regions"] * bool(stats.stuff) + [f"{stats.ignored:,} to ignore"] * bool(
        stats.ignored
    )
    shown += [
        ("objects", f"{objects:,}", ", ".join(more)),
        (f"{data_set.classes_word} with objects", f"{np.count_nonzero(counts):,}", f"of {len(counts):,}"),
    ]
    if images:
        shown += [
            ("objects an image", f"{of_image.mean():.2f}", f"COCO {COCO.objects}; median {np.median(of_image):g}"),
            (
                f"{data_set.classes_word} an image",
                f"{classes.mean():.2f}",
                f"COCO {COCO.classes}; median {np.median(classes):g}",
            ),
        ]
    if objects and not np.isnan(stats.visible_share).all():
        shown.append(("mean visible share", f"{np.nanmean(stats.visible_share):.0%}", "of an object's pixels"))
    if np.nansum(stats.limited):
        shown.append(("held small", f"{np.nanmean(stats.limited):.1%}", "of the objects, by max_enlargement"))
    return part("tiles", shown)


def charts(data_set: DataSet, stats: Figures, other: Figures | None, other_name: str) -> Markup:
    """Draws all charts, with the key of their colours, as HTML."""
    if not len(stats.area):
        return part("paragraph", "There is no object to count.")
    keys = [("ours", "this data set")]
    keys += [("published", "COCO, published")] * (not data_set.is_saliency) + [("theirs", other_name)] * bool(other)
    measured = _measured(data_set)
    cards = [_relative_sizes(stats, other, measured), _positions(stats, other, other_name)]
    if not data_set.is_saliency:
        cards = [
            _numbers("Objects an image", 0, stats, other, COCO.objects),
            _numbers(f"{data_set.classes_word.capitalize()} an image", 1, stats, other, COCO.classes),
            _size_classes(stats, other, other_name, measured),
            *cards,
            _visibility(stats),
        ]
    source = [] if data_set.is_saliency else [part("paragraph", SOURCE, "note")]
    return join([part("legend", keys), part("cards", cards), *source])


def repeats(data_set: DataSet, stats: Figures) -> Markup:
    """Lists cut-outs that were used more than once, and images whose files are identical, as HTML."""
    groups = statistics.identical_files(image.path for image in data_set.images if image.path)
    copies = sum(map(len, groups)) - len(groups)
    parts: list[str] = ["No two image files are identical."]
    if groups:
        parts = [f"{_count(copies, 'image')} byte for byte identical to another one:"]
        parts.append(_listing([" = ".join(path.name for path in group) for group in groups]))
    uses = statistics.segment_uses(stats.segment_id)
    if not uses:
        return part("paragraph", join([*parts, " The data set does not record the cut-outs of its objects."]))
    times = np.array(list(uses.values()))
    most = part("table", ("cut-out", "objects"), [(id, f"{number:,}") for id, number in uses.most_common(12)])
    about = f"{len(times):,} cut-outs make {times.sum():,} objects: {times.mean():.1f} each, at most {times.max():,}."
    cards = [part("card", "Uses of a cut-out", about, _counted(times, None)), part("card", "Those used most", "", most)]
    return join([part("paragraph", join(parts)), part("cards", cards)])


def faults(data_set: DataSet, skipped: Sequence[str]) -> Markup:
    """Lists the missing images and the entries that were left out as HTML; '' if there are none."""
    parts: list[Markup] = []
    if data_set.missing:
        number = _count(len(data_set.missing), "image")
        parts += [part("paragraph", f"{number} not on disk:"), _listing(data_set.missing)]
    if skipped:
        number = _count(len(skipped), "entry", "entries")
        parts += [part("paragraph", f"{number} broken and left out:"), _listing(skipped, " sentences")]
    return join(parts)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one} is" if number == 1 else f"{number:,} {many or one + 's'} are"


def _measured(data_set: DataSet) -> str:
    return "Area of masks" if data_set.has_masks else "Area of boxes, which is larger than that of masks,"


def _sizes(size: np.ndarray) -> str:
    if not len(size):
        return ""
    low, high = size.min(axis=0), size.max(axis=0)
    if (low == high).all():
        return f"{low[1]:g} \N{MULTIPLICATION SIGN} {low[0]:g} px"
    return f"{low[1]:g}\N{EN DASH}{high[1]:g} \N{MULTIPLICATION SIGN} {low[0]:g}\N{EN DASH}{high[0]:g} px"


def _listing(names: Sequence[str], style: str = "") -> Markup:
    return part("listing", names[:_LISTED], max(0, len(names) - _LISTED), style)


def _numbers(heading: str, which: int, stats: Figures, other: Figures | None, published: float) -> Markup:
    ours = statistics.per_image(stats)[which]
    theirs = statistics.per_image(other)[which] if other else None
    about = f"Mean {ours.mean():.2f}; COCO, published, {published}"
    about += "." if theirs is None else f"; compared, {theirs.mean():.2f}."
    return part("card", heading, about, _counted(ours, theirs, published))


def _counted(ours: np.ndarray, theirs: np.ndarray | None, published: float | None = None) -> Markup:
    """Draws a histogram of integers; the last bar holds all larger values."""
    both = ours if theirs is None else np.concatenate([ours, theirs])
    low, high = int(both.min() > 0), max(int(np.ceil(np.quantile(both, 0.995))), 9)
    step = -(-(high + 1 - low) // 32)
    edges = np.arange(low, high + 1 + step, step)
    names = [str(edge) if step == 1 else f"{edge} to {edge + step - 1}" for edge in edges[:-1]]
    if both.max() >= edges[-1]:
        names[-1] = f"{edges[-2]} and more"
    every = -(-len(names) // 10)
    ticks = [
        (position + 0.5, f"{edges[position]}{'+' * ('more' in names[position])}")
        for position in range(0, len(names), every)
    ]
    # Tick labels are at the centres of their bars.
    marks = [((published - low) / step + 0.5, f"COCO {published}")] if published else []
    share = statistics.shares(ours.astype(float), edges)
    compared = None if theirs is None else statistics.shares(theirs.astype(float), edges)
    return histogram(share, names, ticks, compared, marks)


def _size_classes(stats: Figures, other: Figures | None, other_name: str, measured: str) -> Markup:
    series = [
        ("ours", "this data set", statistics.size_shares(stats.area)),
        ("published-bar", "COCO, published", np.array(COCO.sizes)),
    ]
    if other:
        series.append(("theirs-bar", other_name, statistics.size_shares(other.area)))
    return part(
        "card",
        "Small, medium and large",
        f"{measured} in pixels, parted at 32² and 96² as by COCO's evaluation, whatever the images' size.",
        bar_groups(SIZE_NAMES, series),
    )


def _relative_sizes(stats: Figures, other: Figures | None, measured: str) -> Markup:
    edges = np.geomspace(0.01, 1, 25)
    ours = statistics.shares(statistics.relative_sizes(stats), edges)
    theirs = None if other is None else statistics.shares(statistics.relative_sizes(other), edges)
    names = [f"{low:.1%} to {high:.1%}" for low, high in pairwise(edges)]
    names[0] = f"up to {edges[1]:.1%}"
    ticks = [(np.log10(share / 0.01) / 2 * 24, f"{share:.0%}") for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)]
    about = f"{measured} as a share of the image's, its square root, on a logarithmic scale."
    return part("card", "Size in the image", about, histogram(ours, names, ticks, theirs))


def _positions(stats: Figures, other: Figures | None, other_name: str) -> Markup:
    cells = _FINE if len(stats.area) >= _MANY else _COARSE
    maps = [position_chart(statistics.position_map(stats, cells), "this data set", "ours")]
    if other:
        maps.append(position_chart(statistics.position_map(other, cells), other_name, "theirs-bar"))
    about = "Centres of the boxes, with every image stretched to one shape; the most saturated cell holds most."
    return part("card", "Position in the image", about, part("maps", maps))


def _visibility(stats: Figures) -> Markup:
    if np.isnan(stats.visible_share).all():
        return part(
            "card",
            "Visible share",
            "The data set does not record how far its objects are occluded; nor do COCO's annotations.",
            "",
        )
    edges = np.linspace(0, 1, 21)
    names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)]
    ticks = [(position, f"{position / 20:.0%}") for position in range(0, 21, 4)]
    cut = np.count_nonzero((stats.truncation > 0) | stats.cut_off)
    about = (
        f"Share of an object that is not occluded. {_count(cut, 'object')} truncated by the image's border. "
        "COCO's annotations do not record it."
    )
    return part("card", "Visible share", about, histogram(statistics.shares(stats.visible_share, edges), names, ticks))
