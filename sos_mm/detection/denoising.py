"""Grounding DINO with a limit on denoising queries, for images with more objects than that limit.

mmdet creates ``num_dn_queries // objects`` groups of two queries an object, and always at least one group: with 300
objects in an image there are 600 denoising queries beside the 900 object queries, whatever ``num_dn_queries`` is. The
cost of attention grows with the square of that. Here denoising uses a random subset of the objects of such an image;
the object queries are matched with all of them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import GroundingDINOHead
from mmdet.models.detectors import GroundingDINO
from mmdet.models.layers import CdnQueryGenerator
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from mmengine.structures import InstanceData


class CappedQueryGenerator(CdnQueryGenerator):
    """Generates denoising queries for at most ``num_dn_queries`` objects an image, so at most twice as many queries.

    The fourth output tells which objects they belong to: ``dn_meta['denoised']`` has for each image the indices of its
    objects, (n,) int64, ascending, or is None if all are used. The arguments are those of mmdet's generator.

    Raises:
        ValueError: If the number of groups is fixed, since then there is no limit.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if not self.dynamic_dn_groups:
            raise ValueError("`dn_cfg.group_cfg` must have `dynamic=True` and `num_dn_queries`, but is not dynamic.")

    def __call__(self, batch_data_samples: Sequence[DetDataSample]) -> tuple:
        """Generates queries, boxes, attention mask and metadata; see mmdet's generator."""
        numbers = [len(sample.gt_instances) for sample in batch_data_samples]
        if max(numbers) <= self.num_dn_queries:
            *queries, meta = super().__call__(batch_data_samples)
            return *queries, {**meta, "denoised": None}
        device = batch_data_samples[0].gt_instances.bboxes.device
        denoised = [torch.randperm(n, device=device)[: self.num_dn_queries].sort().values for n in numbers]
        thinned = [
            DetDataSample(metainfo={"img_shape": sample.img_shape}, gt_instances=sample.gt_instances[positions])
            for sample, positions in zip(batch_data_samples, denoised, strict=True)
        ]
        *queries, meta = super().__call__(thinned)
        return *queries, {**meta, "denoised": denoised}


@MODELS.register_module()
class CappedGroundingDINO(GroundingDINO):
    """mmdet's `GroundingDINO` with at most twice ``dn_cfg.group_cfg.num_dn_queries`` denoising queries an image.

    Weights have the same names. Its head must be `CappedGroundingDINOHead`.

    Args:
        *args: See `mmdet.models.detectors.GroundingDINO`.
        dn_cfg: Options of the denoising queries, with ``group_cfg=dict(dynamic=True, num_dn_queries=...)``.
        **kwargs: See `GroundingDINO`.

    Raises:
        ValueError: If the number of groups is fixed, or the head has another type.
    """

    def __init__(self, *args: Any, dn_cfg: dict[str, Any], **kwargs: Any):
        dn_cfg = dict(dn_cfg)
        super().__init__(*args, dn_cfg=dn_cfg, **kwargs)
        if not isinstance(self.bbox_head, CappedGroundingDINOHead):
            raise ValueError(
                f"`bbox_head` must be a CappedGroundingDINOHead, but got {type(self.bbox_head).__name__}: with another "
                "head the denoising queries would be compared with the wrong objects."
            )
        # The parent class has added the sizes to `dn_cfg`.
        self.dn_query_generator = CappedQueryGenerator(**dn_cfg)


@MODELS.register_module()
class CappedGroundingDINOHead(GroundingDINOHead):
    """mmdet's `GroundingDINOHead` with the denoising loss only over objects that have denoising queries."""

    def get_dn_targets(
        self, batch_gt_instances: list[InstanceData], batch_img_metas: list[dict], dn_meta: dict[str, Any]
    ) -> tuple:
        """Computes the targets of the denoising queries; see mmdet's `DINOHead`."""
        if dn_meta["denoised"] is not None:
            pairs = zip(batch_gt_instances, dn_meta["denoised"], strict=True)
            batch_gt_instances = [instances[positions] for instances, positions in pairs]
        return super().get_dn_targets(batch_gt_instances, batch_img_metas, dn_meta)
