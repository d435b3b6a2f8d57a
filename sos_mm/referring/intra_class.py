"""Builds and evaluates benchmarks of intra-class referring: to find one of several objects of the same category."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from sos_mm.formats.intra_class import read_intra_class
from sos_mm.formats.mdetr import Expression, Target
from sos_mm.formats.records import Record
from sos_mm.metrics.grounding import intra_class_scores, mean_intra_class
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.concepts import OBJECT

# Least visible share and least share of the image for a target: smaller ones cannot be identified by eye.
LEAST_VISIBLE, LEAST_SHARE = 0.5, 0.002


def intra_class_samples(image: AnnotatedImage, line: Record, most: int | None = None) -> Iterator[Expression]:
    """Selects the expressions of an image that distinguish one object from others of its category.

    They have one sufficiently visible target, whose category has other objects, is complete in the image, and has no
    crowd there: a distractor without a box would not be scored.

    Args:
        image: The image.
        line: Its expressions, as `sos_mm.referring.outputs.image_line` encodes them.
        most: Most expressions of an image, with different targets first; None for all.

    Yields:
        Each expression with its distractors.
    """
    crowds = {each.category for each in image.ignored}
    by_turn: list[tuple[int, Record]] = []
    uses: dict[int, int] = {}
    for each in line["expressions"]:
        if len(each["targets"]) != 1 or each.get("plural"):
            continue
        position = each["targets"][0]
        target = image.instances[position]
        doubtful = crowds & {target.category, ""} or not image.complete & {target.category, OBJECT}
        if doubtful or not _is_seen(target, image) or len(_others(image, position)) == 0:
            continue
        by_turn.append((uses.get(position, 0), each))
        uses[position] = uses.get(position, 0) + 1
    by_turn.sort(key=lambda pair: pair[0])
    size = {"file_name": line["file_name"], "height": line["height"], "width": line["width"]}
    for _, each in by_turn[:most]:
        spans = [[0, len(each["text"])]]
        target = Target(each["boxes"][0], each["category_ids"][0], spans)
        distractors = [list(map(float, other.box)) for other in _others(image, each["targets"][0])]
        yield Expression(each["id"], each["text"], size, line.get("image_id"), "refcoco", [target], distractors)


def _others(image: AnnotatedImage, position: int) -> list[Instance]:
    category = image.instances[position].category
    return [each for other, each in enumerate(image.instances) if other != position and each.category == category]


def _is_seen(instance: Instance, image: AnnotatedImage) -> bool:
    x0, y0, x1, y1 = instance.box
    share = (x1 - x0) * (y1 - y0) / (image.width * image.height)
    return share >= LEAST_SHARE and (instance.visible_share is None or instance.visible_share >= LEAST_VISIBLE)


def evaluate_intra_class(
    ann_file: str | Path,
    predictions: Mapping[int | str, tuple[ArrayLike, ArrayLike]],
    iou_threshold: float = 0.5,
    overlap: str = "most",
) -> dict[str, float]:
    """Evaluates boxes that a detector found for the expressions of a benchmark.

    Args:
        ann_file: A file in one of the two formats of `sos_mm.formats.intra_class`.
        predictions: (N, 4) xyxy boxes and (N,) scores in [0, 1] by the id of the expression.
        iou_threshold, overlap: See `sos_mm.metrics.grounding.intra_class_scores`; SOS's figures are those of 'any'.

    Returns:
        The figures of `sos_mm.metrics.grounding.mean_intra_class`, in percent.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has neither format, an expression has no prediction, or a prediction is invalid.
    """
    scores: list[tuple[float | None, float | None]] = []
    for sample in read_intra_class(ann_file):
        if sample.id not in predictions:
            raise ValueError(
                f"`predictions` must have an entry for each expression of {ann_file}, an empty one where nothing is "
                f"found, but has none for {sample.id!r}."
            )
        boxes, found = predictions[sample.id]
        scores.append(intra_class_scores(boxes, found, sample.targets, sample.distractors, iou_threshold, overlap))
    return mean_intra_class(scores)
