"""One page about a data set: samples with masks, boxes and words, figures, charts, repeats. Opens from disk."""

import json
import shutil
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from sos_mm.browse import sections
from sos_mm.browse.dataset import DataSet
from sos_mm.browse.reading import read_annotations, read_dataset
from sos_mm.browse.samples import FOLDER, sample_records
from sos_mm.browse.statistics import Figures, figures, per_class
from sos_mm.checks import check_range, writable_folder
from sos_mm.errors import ErrorCollector

PAGE = "index.html"
# By this a page of ours is known, which may be written over.
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
    """Writes a page about a data set: ``index.html`` and a folder of pictures beside it, which need no network.

    Args:
        data: What `read_dataset` takes, as are ``images`` and ``masks``.
        out: Folder of the page: new, empty, or that of an earlier page, which is replaced.
        images, masks, expressions: As there.
        num: How many pictures to show; drawn by ``seed``.
        seed: At least 0.
        compare: An annotation file whose histograms to draw beside, such as COCO's ``instances_val2017.json``.
        broken: 'error' or 'skip', as there; broken pictures too.
        max_side: Pictures with a longer side, in pixels, are shown reduced to it.
        progress: Whether to say on stderr how far it is.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError, ValueError: As `read_dataset`; ValueError also if a number is out of its range.
        FileExistsError: If the folder holds something else.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    for name, value, low in (("num", num, 0), ("seed", seed, 0), ("max_side", max_side, 64)):
        check_range(name, value, low, 2**31 - 1)
    data_set = read_dataset(data, images, masks, expressions=expressions, broken=broken, progress=progress)
    other = None if compare is None else figures(read_annotations(compare))
    told, out, faults = figures(data_set), page_folder(out), ErrorCollector(broken)
    with TemporaryDirectory(dir=out, prefix=_PARTIAL) as partial:
        samples = sample_records(data_set, num, seed, Path(partial), max_side, faults)
        skipped = (*data_set.faults, *faults.texts)
        name = Path(compare).name if compare else ""
        text = _template("page.html").substitute(
            title=escape(_title(data_set)),
            subtitle=escape(f"{data_set.kind} · {data_set.source}"),
            css=_template("page.css").template,
            script=_template("page.js").template,
            switches=_switches(),
            body=_body(data_set, told, other, name, len(samples), skipped),
            data=_json({"samples": samples, "classes": _classes(told), "word": data_set.classes_word}),
        )
        (Path(partial) / PAGE).write_text(text, encoding="utf-8")
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        for part in (FOLDER, PAGE):
            (Path(partial) / part).replace(out / part)
    return out / PAGE


def page_folder(out: str | Path) -> Path:
    """Makes the folder of a page where there is none, and checks that it holds nothing but an earlier page.

    Raises:
        FileExistsError: If it holds something else.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    out = writable_folder(out, "The folder of the page")
    page = out / PAGE
    ours = page.is_file() and _SIGN in page.read_text(encoding="utf-8", errors="replace")[:2000]
    # What a run that was killed left behind.
    partial = [child for child in out.iterdir() if child.is_dir() and child.name.startswith(_PARTIAL)]
    if len(list(out.iterdir())) > len(partial) and not ours:
        raise FileExistsError(
            f"The folder of the page must be new, empty or that of an earlier page, but {out} is not: name another."
        )
    for folder in partial:
        shutil.rmtree(folder)
    return out


def _template(name: str) -> Template:
    return Template((files("sos_mm.browse") / name).read_text(encoding="utf-8"))


def _title(data_set: DataSet) -> str:
    """Name of the data set's folder, above those that only say what is in them."""
    plain = ("annotations", "masks", "images")
    parts = data_set.source.resolve().parts
    return next(
        (part for part in reversed(parts[: -1 if len(parts) > 1 else None]) if part.lower() not in plain), "Data set"
    )


def _switches() -> str:
    boxes = [
        f'<label><input type="checkbox" name="{name}" checked>{name}<kbd>{name[0]}</kbd></label>'
        for name in ("masks", "boxes", "words")
    ]
    return "".join(boxes)


def _body(
    data_set: DataSet, told: Figures, other: Figures | None, other_name: str, samples: int, skipped: tuple[str, ...]
) -> str:
    parts = [sections.tiles(data_set, told)]
    faulty = sections.faults(data_set, skipped)
    if faulty:
        parts.append(f"<h2>Missing and broken</h2>{faulty}")
    parts.append("<h2>Pictures</h2>")
    if samples:
        parts.append(f'<div class="sticky bar-of-switches">{_switches()}</div><div id="samples"></div>')
    else:
        parts.append('<p>There is none to show.</p><div id="samples"></div>')
    if len(told.categories) > 1:
        parts.append(f"<h2>{data_set.classes_word.capitalize()}</h2>{_class_table(told, data_set.classes_word)}")
    parts.append(f"<h2>Numbers, sizes and places</h2>{sections.charts(data_set, told, other, other_name)}")
    parts.append(f"<h2>Repeats</h2>{sections.repeats(data_set, told)}")
    return "\n".join(parts)


def _class_table(told: Figures, word: str) -> str:
    heads = "".join(
        f'<th{sort}><button data-key="{key}">{key}</button></th>'
        for key, sort in (("name", ""), ("objects", ' aria-sort="descending"'), ("images", ""))
    )
    rest = len(told.categories) - _MOST_CLASSES
    note = f'<p class="note">The {rest:,} {word} with the fewest objects are not listed.</p>' if rest > 0 else ""
    return (
        f'<p><input type="search" id="filter" placeholder="find in {word}" aria-label="find in {word}"> '
        '<span id="found" class="note"></span></p>'
        f'<div class="scroll"><table id="classes"><thead><tr>{heads}<th class="bar"></th></tr></thead>'
        f"<tbody></tbody></table></div>{note}"
    )


def _classes(told: Figures) -> list[tuple[str, int, int]]:
    """Name, objects and images of each class, the most frequent first."""
    objects, images = per_class(told)
    rows = zip(told.categories, objects.tolist(), images.tolist(), strict=True)
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:_MOST_CLASSES]


def _json(value: Any) -> str:
    """JSON that nothing in it can end the element it stands in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
