"""Base of all saliency models: features of one or two images, and saliency maps written into data samples."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import Module, functional

from sos_mm.cutouts.hypotheses import cluster_masks
from sos_mm.saliency.models.fusion import SalientFeatures
from sos_mm.saliency.models.settings import checked_stretch, checked_test_cfg
from sos_mm.saliency.models.sliding import Window, blend_tiles, full_window


class SaliencySegmentor(BaseSegmentor):
    """Base of saliency models: an encoder and a fusion, where there are any, and a head that predicts saliency maps.

    mmseg's ``SegTTAModel`` averages its predictions over augmentations: it gives one channel of logits.

    Args:
        data_preprocessor: Must give RGB in [0, 1]; the parts each apply their own normalisation.
        backbone: Config of the encoder: (B, 3, H, W) -> stage features. None for no encoder, and then no neck.
        neck: Config of the fusion: stage features -> :class:`SalientFeatures`.
        decode_head: Config of the head.
        modalities: Images that the model is given, each of three channels: 1 for RGB, 2 for RGB and depth or thermal.
            The encoder is given each separately, and the fusion the features of all, concatenated stage by stage.
        test_cfg: See :class:`LatentDiffusionSegmentor`.
        init_cfg: mmengine's.

    Raises:
        ValueError: If there is an encoder without a fusion, or the other way round.
    """

    out_channels = 1
    stride = 8

    def __init__(
        self,
        data_preprocessor: dict,
        backbone: dict | None,
        neck: dict | None,
        decode_head: dict,
        modalities: int = 1,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.modalities = modalities
        if (backbone is None) != (neck is None):
            raise ValueError("`backbone` and `neck` must both be configs or both be None: the one reads the other.")
        self.backbone: Module | None = None
        self.neck: Module | None = None
        if backbone is not None and neck is not None:
            self.backbone = MODELS.build(backbone)
            channels = [number * modalities for number in self.backbone.out_channels]
            self.neck = MODELS.build(dict(in_channels=channels, **neck))
        self.decode_head = MODELS.build(decode_head)
        self.test_cfg = checked_test_cfg(test_cfg or {})
        self.decode_head.threshold = self.test_cfg["threshold"]  # Where mmseg's SegTTAModel reads it.

    def images(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Splits (B, 3 n, H, W) into n images (B, 3, H, W).

        Raises:
            ValueError: If there are more or fewer images than the model was built for.
        """
        if inputs.shape[1] != 3 * self.modalities:
            raise ValueError(
                f"The model takes {self.modalities} image(s) of 3 channels each, but got {inputs.shape[1]} channels."
            )
        return inputs.split(3, 1)

    def extract_feat(self, inputs: Tensor) -> SalientFeatures | None:
        """Encodes images (B, 3 n, H, W) in [0, 1] to f and its pyramid; None without an encoder."""
        if self.backbone is None or self.neck is None:
            return None
        seen = [self.backbone(image) for image in self.images(inputs)]
        return self.neck([torch.cat(stages, 1) if len(stages) > 1 else stages[0] for stages in zip(*seen, strict=True)])

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Computes the named losses of a batch.

        Args:
            inputs: (B, 3 n, H, W) in [0, 1].
            data_samples: With ``gt_saliency`` (1, H, W) in [0, 1] and the metainfo ``sample_idx``.

        Raises:
            FloatingPointError: If a loss is not finite; names it and the batch's files.
        """
        losses = self.named_losses(inputs, data_samples)
        if not torch.stack([loss.detach() for loss in losses.values()]).isfinite().all():
            values = ", ".join(f"{name} {float(loss):g}" for name, loss in losses.items())
            files = ", ".join(str(sample.metainfo.get("img_path")) for sample in data_samples)
            raise FloatingPointError(
                f"The losses must be finite, but are {values} on {files}. Weights are those of the step before: "
                "look at these files, or lower the learning rate."
            )
        return losses

    @abstractmethod
    def named_losses(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Computes the losses as :meth:`loss`, unchecked."""

    @abstractmethod
    def predict_window(
        self, inputs: Tensor, data_samples: list[SegDataSample], window: Window, test_cfg: Mapping[str, Any]
    ) -> Tensor:
        """Predicts one tile, or the full image: (B, 3 n, h, w) -> (members, B, 1, h, w) in [0, 1]."""

    def settings(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the model's ``test_cfg`` with other values for some of its keys; the model keeps its own.

        Raises:
            ValueError: See `checked_test_cfg`.
        """
        return self.test_cfg if changes is None else checked_test_cfg(changes, self.test_cfg)

    def predict(
        self,
        inputs: Tensor,
        data_samples: list[SegDataSample] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
    ) -> list[SegDataSample]:
        """Fills each data sample with its saliency at the original size.

        Args:
            inputs: (B, 3 n, H, W) in [0, 1].
            data_samples: Samples with the metainfo ``ori_shape`` (h, w), and ``img_path``, whose name seeds the noise;
                without them the inputs' size and an empty name are used. The padding of a letterbox,
                ``padding_size`` (left, right, top, bottom), is cut off, and a flip, ``flip`` with
                ``flip_direction``, is undone, if present.
            test_cfg: Values that replace those of the model's ``test_cfg`` in this call.

        Returns:
            The samples with ``pred_saliency`` (1, h, w) float in [0, 1], ``pred_sem_seg`` (1, h, w) int64,
            ``seg_logits`` (the saliency as logits), with an ensemble ``saliency_std`` (1, h, w), and with
            ``test_cfg.hypotheses`` the ``hypotheses`` (k, h, w) float in [0, 1], the largest of their ``shares`` first.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        settings = self.settings(test_cfg)
        members = self.encode_decode(inputs, data_samples, settings)  # (members, B, 1, H, W)
        return [self.fill(sample, members[:, index], settings) for index, sample in enumerate(data_samples)]

    def encode_decode(
        self, inputs: Tensor, batch_data_samples: list[SegDataSample], test_cfg: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Predicts saliency maps of all ensemble members at the inputs' size, (members, B, 1, H, W) in [0, 1]."""
        settings = self.settings(test_cfg)
        tile = settings["tile"]
        if tile is None:
            return self.predict_window(inputs, batch_data_samples, full_window(inputs), settings)

        def predict(part: Tensor, window: Window) -> Tensor:
            return self.predict_window(part, batch_data_samples, window, settings)

        return blend_tiles(predict, inputs, **tile, stride=self.stride)

    def fill(self, sample: SegDataSample, members: Tensor, test_cfg: Mapping[str, Any] | None = None) -> SegDataSample:
        """Writes the ensemble's maps (members, 1, H, W) in [0, 1] into one sample, at its original size."""
        settings = self.settings(test_cfg)
        stretch = checked_stretch(settings["stretch"])
        upright = without_flip(without_padding(members, sample), sample)  # (members, 1, H, W)
        if stretch in ("member", "released"):
            upright = torch.stack([stretched(member) for member in upright])
        saliency = finished(upright, sample, settings)  # (1, h, w)
        sample.pred_saliency = PixelData(data=saliency)
        sample.pred_sem_seg = PixelData(data=(saliency > settings["threshold"]).long())
        sample.seg_logits = PixelData(data=torch.logit(saliency, 1e-6))
        if len(upright) > 1:
            maps = resized(upright, sample.ori_shape[:2], settings["upsampling"])  # (members, 1, h, w)
            sample.saliency_std = PixelData(data=maps.std(0))
        if settings["hypotheses"] is not None:
            sample.hypotheses = hypotheses_of(upright, sample, settings)
        return sample

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        samples = data_samples or [SegDataSample() for _ in inputs]
        return self.encode_decode(inputs, samples)


def image_name(sample: SegDataSample) -> str:
    """Returns the name of a sample's file, which seeds its noise."""
    return Path(sample.metainfo.get("img_path") or "").name


def without_padding(maps: Tensor, sample: SegDataSample) -> Tensor:
    """Cuts off the padding of a letterbox: (..., H, W) -> (..., h, w)."""
    left, right, top, bottom = sample.metainfo.get("padding_size") or (0, 0, 0, 0)
    return maps[..., top : maps.shape[-2] - bottom, left : maps.shape[-1] - right]


def without_flip(maps: Tensor, sample: SegDataSample) -> Tensor:
    """Undoes a flip of test-time augmentation."""
    if not sample.metainfo.get("flip") or "flip_direction" not in sample.metainfo:
        return maps
    sides = dict(horizontal=[-1], vertical=[-2], diagonal=[-2, -1])
    return maps.flip(sides[sample.flip_direction])


def finished(members: Tensor, sample: SegDataSample, settings: Mapping[str, Any]) -> Tensor:
    """Reduces an ensemble's maps (members, 1, H, W) to a saliency map at the original size, (1, h, w) in [0, 1]."""
    stretch = checked_stretch(settings["stretch"])
    middle = reduced(members, settings["reduction"], stretch == "released")  # (1, H, W)
    saliency = resized(middle[None], sample.ori_shape[:2], settings["upsampling"])[0]  # (1, h, w)
    return (stretched(saliency) if stretch == "result" else saliency).clamp(0, 1)


def hypotheses_of(members: Tensor, sample: SegDataSample, settings: Mapping[str, Any]) -> PixelData:
    """Clusters an ensemble's maps (members, 1, H, W) into distinct masks.

    Returns:
        Saliency maps (k, h, w) in [0, 1] at the original size, with the metainfo ``shares``, k numbers that sum to 1.

    Raises:
        ValueError: If there is one member alone.
    """
    if len(members) < 2:
        raise ValueError(
            "`test_cfg.hypotheses` must be None for a model that predicts one map alone, such as an encoder's own: "
            "hypotheses are found among the members of an ensemble."
        )
    masks = (members[:, 0] > settings["threshold"]).cpu().numpy()
    found = cluster_masks(masks, **settings["hypotheses"])
    maps = [finished(members[list(each.members)], sample, settings) for each in found]
    return PixelData(metainfo=dict(shares=tuple(each.share for each in found)), data=torch.cat(maps))


def reduced(members: Tensor, reduction: str, stretch: bool = False) -> Tensor:
    """Reduces an ensemble's maps to one, pixel by pixel.

    Args:
        members: (members, 1, H, W).
        reduction: ``mean`` or ``median``; of an even number the median is the lower of the two in the middle.
        stretch: Whether to stretch the one map as well.

    Returns:
        (1, H, W).
    """
    middle = members.median(0).values if reduction == "median" else members.mean(0)
    return stretched(middle) if stretch else middle


def resized(maps: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Brings maps (B, 1, H, W) to another size, (B, 1, h, w), by PIL's filter of that name.

    With ``antialias`` torch has PIL's filters: they widen where a side shrinks, and the cubic one has its parameter of
    -0.5. On maps in [0, 1] both agree to 5e-5 in 32 bits, and to 1e-6 in 64. The cubic filter overshoots at edges.

    Args:
        maps: The maps.
        size: (h, w).
        mode: ``bilinear`` or ``bicubic``.
    """
    return functional.interpolate(maps, size, mode=mode, antialias=True)


def stretched(saliency: Tensor) -> Tensor:
    """Stretches a saliency map to a minimum of 0 and a maximum of 1; a constant map is returned as it is."""
    low, high = saliency.amin(), saliency.amax()
    return (saliency - low) / (high - low) if high > low else saliency


def to_signed(images: Tensor) -> Tensor:
    """Converts images in [0, 1] to [-1, 1], the range of latent codecs."""
    return images * 2 - 1


def to_saliency(decoded: Tensor) -> Tensor:
    """Averages the channels of a decoded mask: (B, 3, H, W), about [-1, 1] -> (B, 1, H, W) in [0, 1]."""
    return ((decoded.mean(1, keepdim=True) + 1) / 2).clamp(0, 1)


def ground_truth(data_samples: list[SegDataSample], like: Tensor) -> Tensor:
    """Stacks the ground truth of a batch, (B, 1, H, W) in [0, 1]."""
    return torch.stack([sample.gt_saliency.data for sample in data_samples]).to(like)
