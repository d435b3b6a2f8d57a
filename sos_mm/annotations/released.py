"""The ODVG files of the released composed sets, rebuilt so that mmdet's `ODVGDataset` reads them rightly.

Released are: boxes as xywh under the key ``bboxes``, where ODVG has xyxy under ``bbox``; spans whose end is the last
character, and which leave out the separators, where ODVG's are half-open; file names of the masks; and the box
[0, 0, 0, 0] for what is hidden.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.annotations.boxes import clip, xywh_to_xyxy
from sos_mm.annotations.panoptic import chunks
from sos_mm.annotations.reading import json_lines, read_text
from sos_mm.synthesis.writers.odvg import boxes_by_phrase, clean_phrase, grounding_record

Record = dict[str, Any]


def rebuilt_lines(
    path: str | Path, image_suffix: str = ".jpg", max_characters: int | None = None, left_out: Counter | None = None
) -> Iterator[Record]:
    """The lines of a released grounding file, with boxes, spans and file names made right.

    A phrase is left out with its words if one of its boxes is hidden or outside: its other boxes alone are not what it
    means. Lines without any phrase left are left out.

    Args:
        path: The released JSON lines.
        image_suffix: Suffix of the image files.
        max_characters: As of `sos_mm.annotations.panoptic.grounding_lines`.
        left_out: Counts what was left out, by reason.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    left_out = Counter() if left_out is None else left_out
    for number, line in json_lines(read_text(path), path):
        regions = line.get("grounding", {}).get("regions") if isinstance(line, dict) else None
        if regions is None or not all("bboxes" in region for region in regions):
            raise ValueError(f"{path}, line {number}, must have `grounding` with `regions` with `bboxes`, but has not.")
        pairs = []
        for region in regions:
            boxes = [clip(xywh_to_xyxy(box), line["width"], line["height"]) for box in region["bboxes"]]
            phrase = clean_phrase(region["phrase"])
            if not phrase or not boxes or None in boxes:
                left_out["phrase that is empty, or has a box that is hidden or outside"] += 1
                continue
            pairs += [(phrase, box) for box in boxes]
        image = {
            "filename": str(PurePosixPath(line["filename"]).with_suffix(image_suffix)),
            "height": line["height"],
            "width": line["width"],
        }
        if not pairs:
            left_out["line without phrases"] += 1
        for part in chunks(boxes_by_phrase(pairs), max_characters):
            yield image | {"grounding": grounding_record(part)}
