"""Intra-class referring in mmdet: expressions that refer to one of several objects of a category, and a metric for
them.

Both classes read either form of `sos_mm.formats.intra_class`: ours and SOS's grouped one. `sos-mm refer` writes ours,
with expressions that are proved, and `sos-mm convert panoptic-intra-class` with the phrases of composed objects.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS

from sos_mm.checks import check_choice
from sos_mm.formats.intra_class import IntraClassSample, read_intra_class
from sos_mm.formats.records import Record
from sos_mm.metrics.grounding import OVERLAPS, intra_class_scores, mean_intra_class


@DATASETS.register_module()
class IntraClassReferringDataset(BaseDetDataset):
    """A data set of expressions that refer to one of several objects of a category.

    Samples have the format of mmdet's `MDETRStyleRefCocoDataset`, so that its pipelines for RefCOCO fit: ``text`` is
    the expression, ``tokens_positive`` is -1, and the instances are the target. ``distractors``, (D, 4) float64 xyxy
    boxes, are the other objects.

    Args:
        ann_file: Annotation file; see the module.
        **kwargs: See `mmdet.datasets.BaseDetDataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind; names the expression.
    """

    def load_data_list(self) -> list[Record]:
        """Returns one sample for each expression."""
        return [self._sample(each) for each in read_intra_class(self.ann_file)]

    def _sample(self, sample: IntraClassSample) -> Record:
        instances = [{"bbox": list(box), "bbox_label": sample.category_id, "ignore_flag": 0} for box in sample.targets]
        return {
            "img_path": str(Path(self.data_prefix.get("img", "")) / sample.image["file_name"]),
            "img_id": sample.id,
            "height": sample.image["height"],
            "width": sample.image["width"],
            "dataset_mode": sample.dataset_name,
            "text": sample.text,
            "custom_entities": False,
            "tokens_positive": -1,
            "instances": instances,
            "distractors": np.array(sample.distractors, np.float64),
        }


@METRICS.register_module()
class IntraClassReferringMetric(BaseMetric):
    """Measures how much higher a detector scores the target of an expression than other objects of its category.

    The keys are those of `sos_mm.metrics.grounding.mean_intra_class`, in percent: ``intra_class/average_gap``,
    ``intra_class/positive_gap_ratio``, and the shares of expressions without a box on the target, on a distractor, or
    on both. Each data sample needs ``img_id`` and ``pred_instances`` with ``bboxes``, xyxy at the size of the original
    image, and ``scores``.

    By default a box counts for the object that it overlaps most. SOS counts it for the target and for a distractor if
    it overlaps both enough; ``overlap='any'`` does so, which gives the authors' figures on their file. This matters if
    a box overlaps both: a box on the target (IoU 1) that also overlaps a distractor (IoU 0.67) has a gap equal to its
    score by default, and of 0 there.

    Args:
        ann_file: The file of the data set, as the module describes.
        iou_threshold: Least IoU of a box with its assigned object.
        overlap: 'most' or 'any'; see `sos_mm.metrics.grounding.intra_class_scores`.
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
        overlap: str = "most",
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        check_choice("overlap", overlap, OVERLAPS)
        self.iou_threshold, self.overlap = iou_threshold, overlap
        self._samples = {each.id: each for each in read_intra_class(ann_file)}

    def process(self, data_batch: object, data_samples: Sequence[Record]) -> None:
        """Scores the expressions of a batch.

        Raises:
            ValueError: If a sample's ``img_id`` is not in the file, or its boxes or scores are invalid.
        """
        for sample in data_samples:
            if sample["img_id"] not in self._samples:
                raise ValueError(f"`ann_file` must be that of the data set, but has no expression {sample['img_id']}.")
            truth, found = self._samples[sample["img_id"]], sample["pred_instances"]
            boxes, scores = (found[name].detach().cpu().double().numpy() for name in ("bboxes", "scores"))
            given = boxes, scores, truth.targets, truth.distractors
            self.results.append(intra_class_scores(*given, self.iou_threshold, self.overlap))

    def compute_metrics(self, results: list[tuple[float | None, float | None]]) -> dict[str, float]:
        """Computes the means over all expressions, of all processes."""
        return mean_intra_class(results)
