"""Intra-class referring in mmdet: expressions that refer to one of several objects of a category, and a metric for
them.

Both classes read a file for intra-class referring, in the format that `sos_mm.formats.mdetr` describes.
`sos_mm.annotations.panoptic.intra_class` creates such files from composed data.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS

from sos_mm.formats.mdetr import read_intra_class
from sos_mm.formats.records import Record
from sos_mm.metrics.grounding import intra_class_scores, mean_intra_class


def xyxy(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """Converts xywh boxes to xyxy boxes, (N, 4) float64."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners


@DATASETS.register_module()
class IntraClassReferringDataset(BaseDetDataset):
    """A data set of expressions that refer to one of several objects of a category.

    Samples are those of mmdet's `MDETRStyleRefCocoDataset`, so that its pipelines for RefCOCO fit: ``text`` is the
    expression, ``tokens_positive`` is -1, and instances are the target. ``distractors``, (D, 4) float64 xyxy boxes, are
    the other objects.

    Args:
        ann_file: A file as the module describes.
        **kwargs: See `mmdet.datasets.BaseDetDataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind; names the expression.
    """

    def load_data_list(self) -> list[Record]:
        """Returns one sample for each expression."""
        return [self._sample(image, targets) for image, targets in read_intra_class(self.ann_file)]

    def _sample(self, image: Record, targets: list[Record]) -> Record:
        instances = [
            {"bbox": xyxy([each["bbox"]])[0].tolist(), "bbox_label": each.get("category_id", 0), "ignore_flag": 0}
            for each in targets
        ]
        return {
            "img_path": str(Path(self.data_prefix.get("img", "")) / image["file_name"]),
            "img_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "dataset_mode": image.get("dataset_name", "intra_class"),
            "text": image["caption"],
            "custom_entities": False,
            "tokens_positive": -1,
            "instances": instances,
            "distractors": xyxy(image["distractors"]),
        }


@METRICS.register_module()
class IntraClassReferringMetric(BaseMetric):
    """Measures how much higher a detector scores the target of an expression than other objects of its category.

    The keys are those of `sos_mm.metrics.grounding.mean_intra_class`, in percent: ``intra_class/average_gap``,
    ``intra_class/positive_gap_ratio``, and the shares of expressions without a box on the target, on a distractor, or
    on both. Each data sample needs ``img_id`` and ``pred_instances`` with ``bboxes``, xyxy at the size of the original
    image, and ``scores``.

    The results are not comparable with the figures of SOS. Its task 5 uses photographs of COCO and OpenImages V7, and
    its
    score differs: each side has the best score among all boxes that overlap it enough, so that one box may count for
    the target and for a distractor. Here a box counts for the object that it overlaps most. This matters if a box
    overlaps both: a box on the target (IoU 1) that also overlaps a distractor (IoU 0.67) gives a gap of 0 there, and a
    gap equal to its score here.

    Args:
        ann_file: The file of the data set, as the module describes.
        iou_threshold: Least IoU of a box with its assigned object.
        collect_device: See ``mmengine.evaluator.BaseMetric``.
        prefix: First part of the keys, ``intra_class`` by default.
        collect_dir: See ``mmengine.evaluator.BaseMetric``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind; names the expression.
    """

    default_prefix = "intra_class"

    def __init__(
        self,
        ann_file: str | Path,
        iou_threshold: float = 0.5,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.iou_threshold = iou_threshold
        self._truths = {
            image["id"]: (xyxy([each["bbox"] for each in targets]), xyxy(image["distractors"]))
            for image, targets in read_intra_class(ann_file)
        }

    def process(self, data_batch: object, data_samples: Sequence[Record]) -> None:
        """Scores the expressions of a batch.

        Raises:
            ValueError: If a sample's ``img_id`` is not in the file, or its boxes or scores are invalid.
        """
        for sample in data_samples:
            if sample["img_id"] not in self._truths:
                raise ValueError(f"`ann_file` must be that of the data set, but has no expression {sample['img_id']}.")
            targets, distractors = self._truths[sample["img_id"]]
            found = sample["pred_instances"]
            boxes, scores = (found[name].detach().cpu().double().numpy() for name in ("bboxes", "scores"))
            self.results.append(intra_class_scores(boxes, scores, targets, distractors, self.iou_threshold))

    def compute_metrics(self, results: list[tuple[float | None, float | None]]) -> dict[str, float]:
        """Computes the means over all expressions, of all processes."""
        return mean_intra_class(results)
