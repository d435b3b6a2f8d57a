"""On-the-fly augmentation for any mmdet, mmseg or saliency pipeline: pasted objects, and transforms that keep captions
true.
"""

from sos_mm.compat import check_openmmlab

check_openmmlab("mmengine", "mmcv")

from sos_mm.augmentation.segment_paste import SegmentPaste  # noqa: E402
from sos_mm.augmentation.word_safe import WordSafeTransform  # noqa: E402

__all__ = ["SegmentPaste", "WordSafeTransform"]
