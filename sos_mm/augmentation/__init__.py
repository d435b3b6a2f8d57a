"""On-the-fly augmentation: pastes objects into the images of any mmdet, mmseg or saliency pipeline."""

from sos_mm.compat import check_openmmlab

check_openmmlab("mmengine", "mmcv")

from sos_mm.augmentation.segment_paste import SegmentPaste  # noqa: E402

__all__ = ["SegmentPaste"]
