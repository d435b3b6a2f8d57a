"""Writes the page about a data set: sample images with masks, boxes and texts, figures, charts, repeats."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from sos_mm.browse import sections
from sos_mm.browse.dataset import DataSet
from sos_mm.browse.reading import read_annotations, read_dataset
from sos_mm.browse.samples import FOLDER, sample_records
from sos_mm.browse.statistics import Figures, figures, per_class
from sos_mm.checks import check_integer, writable_folder
from sos_mm.errors import ErrorCollector
from sos_mm.page import render, source

PAGE = "index.html"
# Marks a page written by this module, which may be replaced.
_SIGN = '<meta name="generator" content="sos_mm report">'
_PARTIAL = ".partial-"
_MOST_CLASSES = 5000


def write_report(
    data: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    expressions: str | Path | None = None,
    num: int = 24,
    seed: int = 0,
    compare: str | Path | None = None,
    broken: str = "error",
    max_side: int = 1600,
    progress: bool = False,
) -> Path:
    """Writes a page about a data set: ``index.html`` and a folder of images beside it; it opens without a network.

    Args:
        data: The data set, as for `read_dataset`.
        out: Folder of the page: new, empty, or that of an earlier page, which is replaced.
        images, masks: Folders, as for `read_dataset`.
        expressions: File, as for `read_dataset`.
        num: Number of images to show, drawn at random.
        seed: Seed of the draw, at least 0.
        compare: An annotation file to compare the histograms with, such as COCO's ``instances_val2017.json``.
        broken: 'error' or 'skip', as for `read_dataset`; applies to broken images too.
        max_side: Larger images are reduced to this longer side, in pixels.
        progress: Whether to show a progress bar on stderr.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError, ValueError: From `read_dataset`; ValueError also if a number is out of its range.
        FileExistsError: If the folder holds other files.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    for name, value, low in (("num", num, 0), ("seed", seed, 0), ("max_side", max_side, 64)):
        check_integer(name, value, low, 2**31 - 1)
    data_set = read_dataset(data, images, masks, expressions=expressions, broken=broken, progress=progress)
    other = None if compare is None else figures(read_annotations(compare))
    stats, out, faults = figures(data_set), page_folder(out), ErrorCollector(broken)
    with TemporaryDirectory(dir=out, prefix=_PARTIAL) as partial:
        samples = sample_records(data_set, num, seed, Path(partial), max_side, faults)
        skipped = (*data_set.faults, *faults.texts)
        name = Path(compare).name if compare else ""
        text = render(
            "dataset.html",
            title=_title(data_set),
            subtitle=f"{data_set.kind} · {data_set.source}",
            css=source("dataset.css"),
            script=source("dataset.js"),
            classes=len(stats.categories),
            tiles=sections.tiles(data_set, stats),
            faulty=sections.faults(data_set, skipped),
            charts=sections.charts(data_set, stats, other, name),
            repeats=sections.repeats(data_set, stats),
            data={"samples": samples, "classes": _classes(stats), "word": data_set.classes_word},
        )
        (Path(partial) / PAGE).write_text(text, encoding="utf-8")
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        for part in (FOLDER, PAGE):
            (Path(partial) / part).replace(out / part)
    return out / PAGE


def page_folder(out: str | Path) -> Path:
    """Creates the folder of a page if it does not exist, and checks that it holds nothing but an earlier page.

    Raises:
        FileExistsError: If it holds other files.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    out = writable_folder(out, "The folder of the page")
    page = out / PAGE
    ours = page.is_file() and _SIGN in page.read_text(encoding="utf-8", errors="replace")[:2000]
    # Left behind by a killed run.
    partial = [child for child in out.iterdir() if child.is_dir() and child.name.startswith(_PARTIAL)]
    if len(list(out.iterdir())) > len(partial) and not ours:
        raise FileExistsError(
            f"The folder of the page must be new, empty or that of an earlier page, but {out} is not: name another."
        )
    for folder in partial:
        shutil.rmtree(folder)
    return out


def _title(data_set: DataSet) -> str:
    """Returns the name of the data set's folder, skipping generic sub-folders such as ``annotations``."""
    plain = ("annotations", "masks", "images")
    parts = data_set.source.resolve().parts
    return next(
        (part for part in reversed(parts[: -1 if len(parts) > 1 else None]) if part.lower() not in plain), "Data set"
    )


def _classes(stats: Figures) -> list[tuple[str, int, int]]:
    """Returns name, number of objects and number of images of each class, the most frequent first."""
    objects, images = per_class(stats)
    rows = zip(stats.categories, objects.tolist(), images.tolist(), strict=True)
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:_MOST_CLASSES]
