"""The encoder and the fusion alone, with a light decoder: the baseline of the diffusion model."""

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from sos_mm.saliency.models.base_segmentor import SaliencySegmentor, ground_truth
from sos_mm.saliency.models.sliding import Window


@MODELS.register_module()
class SalientBranchHead(BaseModule):
    """Decodes f to a mask.

    Args:
        decoder: Config of the decoder: f and the image -> logits.
        loss_pixel: Config of the loss between logits and mask.
    """

    def __init__(self, decoder: dict, loss_pixel: dict):
        super().__init__()
        self.decoder = MODELS.build(decoder)
        self.loss_pixel = MODELS.build(loss_pixel)
        self.auxiliary = None


@MODELS.register_module()
class SalientBranchSegmentor(SaliencySegmentor):
    """The encoder and the fusion without the U-Net, trained by a pixel loss.

    It takes the same inputs as :class:`LatentDiffusionSegmentor` and fills the same fields; of ``test_cfg`` it reads
    ``threshold``, ``stretch``, ``upsampling`` and ``tile``.

    Args:
        codec: None; accepted so that a config can inherit from the full model's.
        train_cfg: None; accepted for OpenMMLab's signature.
        **parts: Arguments of :class:`SaliencySegmentor`.

    Raises:
        ValueError: If there is no encoder.
    """

    def __init__(self, codec: None = None, train_cfg: None = None, **parts):
        super().__init__(**parts)
        if self.backbone is None:
            raise ValueError("`backbone` must be a config, but got None: a branch alone is its encoder.")
        self.train_cfg = train_cfg

    def logits(self, inputs: Tensor) -> Tensor:
        """Predicts logits: (B, 3 n, H, W) in [0, 1] -> (B, 1, H, W)."""
        features = self.extract_feat(inputs)
        assert features is not None, "a branch has an encoder"
        return self.decode_head.decoder(features.f, self.images(inputs)[0])

    def named_losses(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Computes the pixel loss."""
        return dict(loss_pixel=self.decode_head.loss_pixel(self.logits(inputs), ground_truth(data_samples, inputs)))

    def predict_window(
        self, inputs: Tensor, data_samples: list[SegDataSample], window: Window, test_cfg: Mapping[str, Any]
    ) -> Tensor:
        """Predicts one member: (B, 3 n, h, w) -> (1, B, 1, h, w) in [0, 1]."""
        return self.logits(inputs).sigmoid()[None]
