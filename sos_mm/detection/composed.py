"""A data set of ODVG files with many categories and images."""

from typing import Any

from mmdet.datasets import ODVGDataset
from mmengine.registry import DATASETS


@DATASETS.register_module()
class CompactODVGDataset(ODVGDataset):
    """mmdet's `ODVGDataset` with a single copy of the category names in memory.

    mmdet stores them with each image: the 1,600 names of composed frequent categories take 4 GB with 100,000 images, in
    every process, and the 47,000 names of general categories take 100 GB. Samples are the same.

    Args:
        *args: See `mmdet.datasets.ODVGDataset`.
        **kwargs: See `ODVGDataset`; without ``need_text``.

    Raises:
        FileNotFoundError: If an annotation file or label map does not exist.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, need_text=False, **kwargs)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Returns the annotations of an image, with the names of all categories if they are given by category."""
        info = super().get_data_info(idx)
        if self.dataset_mode == "OD":
            # A copy, since pipelines modify it.
            info["text"] = dict(self.label_map)
        return info
