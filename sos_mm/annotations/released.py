"""Repairs the files of the released composed sets so that mmdet's data sets read them.

See `sos_mm.formats.released` for how they differ.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sos_mm.checks import check_folder
from sos_mm.formats.boxes import clip
from sos_mm.formats.odvg import boxes_by_phrase, chunks, grounding_line
from sos_mm.formats.panoptic import read_map
from sos_mm.formats.phrases import clean_phrase
from sos_mm.formats.records import Record
from sos_mm.formats.released import read_panoptic, read_regions


def rebuilt_lines(
    path: str | Path, image_suffix: str = ".jpg", max_characters: int | None = None, left_out: Counter | None = None
) -> Iterator[Record]:
    """Yields the lines of a released grounding file with corrected boxes, spans and file names.

    A phrase is removed from the caption if one of its boxes is occluded or outside the image, since the other boxes
    alone are not all its targets. Lines without any remaining phrase are left out.

    Args:
        path: The released JSON lines.
        image_suffix: Suffix of the image files.
        max_characters: As in `sos_mm.annotations.panoptic.grounding_lines`.
        left_out: Counts what was left out, by reason.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    left_out = Counter() if left_out is None else left_out
    for line, regions in read_regions(path):
        pairs: list[tuple[str, Any]] = []
        for text, unclipped in regions:
            boxes = [clip(box, line["width"], line["height"]) for box in unclipped]
            phrase = clean_phrase(text)
            if not phrase or not boxes or None in boxes:
                left_out["phrase that is empty, or has a box that is hidden or outside"] += 1
                continue
            pairs += [(phrase, box) for box in boxes]
        file_name = str(PurePosixPath(line["filename"]).with_suffix(image_suffix))
        if not pairs:
            left_out["line without phrases"] += 1
        for part in chunks(boxes_by_phrase(pairs), max_characters):
            yield grounding_line(file_name, (line["height"], line["width"]), part)


def repaired_panoptic(
    path: str | Path, masks: str | Path, image_suffix: str | None = None, left_out: Counter | None = None
) -> Record:
    """Returns a released panoptic file with areas and boxes computed from its PNG files, for `CocoPanopticDataset`.

    The released masks were drawn with soft edges, so a few pixels at edges may have an id between those of two
    segments. If it is no segment's id, the pixel becomes void; if it is another segment's id, it cannot be detected.

    Args:
        path: The released annotation file.
        masks: Folder of its PNG files.
        image_suffix: Suffix of the image files where it is not that of ``images``.
        left_out: Counts segments without a visible pixel.

    Raises:
        FileNotFoundError: If the file, the folder or a mask does not exist.
        ValueError: If the file is not of that kind.
    """
    content = read_panoptic(path)
    folder = check_folder(masks, "The folder of masks")
    left_out = Counter() if left_out is None else left_out
    for annotation in content["annotations"]:
        shown = _shown(read_map(folder / annotation["file_name"]))
        kept = [each | shown[each["id"]] for each in annotation["segments_info"] if each["id"] in shown]
        left_out["segment that no pixel shows"] += len(annotation["segments_info"]) - len(kept)
        annotation["segments_info"] = kept
    for image in content["images"]:
        name = PurePosixPath(image["file_name"])
        image["file_name"] = str(name.with_suffix(image_suffix) if image_suffix else name)
    for category in content["categories"]:
        category.setdefault("supercategory", category["name"])
        category.setdefault("isthing", 1)
    return content


def _shown(ids: np.ndarray) -> dict[int, Record]:
    """Computes area and xywh box of every id except 0 in a map of ids."""
    rows, columns = np.nonzero(ids)
    found, which, areas = np.unique(ids[rows, columns], return_inverse=True, return_counts=True)
    low, high = np.full((2, len(found)), 2**31), np.full((2, len(found)), -1)
    for axis, positions in enumerate((columns, rows)):
        np.minimum.at(low[axis], which, positions)
        np.maximum.at(high[axis], which, positions)
    boxes = np.concatenate([low, high - low + 1]).T.tolist()
    return {
        id: {"area": area, "bbox": box} for id, area, box in zip(found.tolist(), areas.tolist(), boxes, strict=True)
    }
