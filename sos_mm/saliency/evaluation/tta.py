"""Test-time augmentation that averages saliency maps."""

from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.structures import SegDataSample


@MODELS.register_module()
class SaliencyTTAModel(SegTTAModel):
    """mmseg's ``SegTTAModel``, which also fills ``pred_saliency`` and keeps the ground truth for the metric.

    mmseg's own gives the averaged ``pred_sem_seg`` alone.
    """

    def merge_preds(self, data_samples_list: list[list[SegDataSample]]) -> list[SegDataSample]:
        """Averages each image's predictions."""
        merged = super().merge_preds(data_samples_list)
        for sample, predictions in zip(merged, data_samples_list, strict=True):
            maps = [each.seg_logits.data.sigmoid() for each in predictions]
            sample.pred_saliency = PixelData(data=sum(maps) / len(maps))
            if "gt_saliency" in predictions[0]:
                sample.gt_saliency = predictions[0].gt_saliency
        return merged
