"""Salient object detection as latent diffusion (Computer Graphics Forum 43(7), e15251, 2024)."""

from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from sos_mm.checks import check_choice
from sos_mm.saliency.fusion import SalientFeatures
from sos_mm.saliency.head import SamplingStep, standard_normal
from sos_mm.seeding import Purpose, generator, image_id
from sos_mm.visits import DrawsFromRun

SOURCES = ("diffusion", "auxiliary")


class Conditions(NamedTuple):
    """What the diffusion is conditioned on.

    Attributes:
        features: The salient features.
        image_latent: (B, C, H/8, W/8).
    """

    features: SalientFeatures
    image_latent: Tensor


@MODELS.register_module()
class LatentDiffusionSegmentor(DrawsFromRun, BaseSegmentor):
    """Encodes image and mask to latents, and denoises the mask's given the image's and salient features.

    Args:
        data_preprocessor: Must give RGB in [0, 1]; codec and encoder each apply their own normalisation.
        backbone: Config of the encoder: (B, 3, H, W) -> stage features.
        neck: Config of the fusion: stage features -> :class:`SalientFeatures`.
        codec: Config of the latent codec.
        decode_head: Config of :class:`DiffusionSODHead`.
        train_cfg: None; there for the signature that OpenMMLab expects.
        test_cfg: ``steps`` (U-Net passes, default 10), ``ensemble`` (members that are averaged, default 1),
            ``seed`` of the noise (default 0), ``threshold`` of ``pred_sem_seg`` (default 0.5), and ``source``:
            ``diffusion`` for the full model or ``auxiliary`` for the encoder's own map.
    """

    def __init__(
        self,
        data_preprocessor: dict,
        backbone: dict,
        neck: dict,
        codec: dict,
        decode_head: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(dict(in_channels=self.backbone.out_channels, **neck))
        self.codec = MODELS.build(codec)
        self.decode_head = MODELS.build(decode_head)
        expected, got = self.codec.latent_channels, self.decode_head.denoiser.latent_channels
        if expected != got:
            raise ValueError(f"The U-Net must predict the codec's {expected} latent channels, but predicts {got}.")
        self.train_cfg = train_cfg
        self.test_cfg = checked_test_cfg(test_cfg or {})

    def extract_feat(self, inputs: Tensor) -> SalientFeatures:
        """RGB (B, 3, H, W) in [0, 1] -> f and its pyramid."""
        return self.neck(self.backbone(inputs))

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            inputs: RGB (B, 3, H, W) in [0, 1].
            data_samples: With ``gt_saliency`` (1, H, W) float in [0, 1] and the metainfo ``sample_idx``.
        """
        indices = [sample.metainfo["sample_idx"] for sample in data_samples]
        saliency = torch.stack([sample.gt_saliency.data for sample in data_samples]).to(inputs)
        mask = to_signed(saliency).expand(-1, 3, -1, -1)  # (B, 3, H, W)
        image_latent = self.codec.encode(to_signed(inputs))  # (B, C, H/8, W/8)
        mask_latent = self.codec.encode(mask)  # (B, C, H/8, W/8)
        noise = standard_normal(
            [self.draw(Purpose.TRAINING_NOISE, index) for index in indices], mask_latent.shape[1:], inputs.device
        )
        last = self.decode_head.scheduler.config.num_train_timesteps
        timesteps = torch.tensor([self.draw(Purpose.TRAINING_TIMESTEP, index).integers(last) for index in indices])
        features = self.extract_feat(inputs)
        return self.decode_head.loss(features, image_latent, mask_latent, mask, noise, timesteps.to(inputs.device))

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Fills each data sample with its saliency at the original size.

        Args:
            inputs: RGB (B, 3, H, W) in [0, 1].
            data_samples: With the metainfo ``ori_shape`` (h, w), and ``img_path``, whose name seeds the noise;
                without them the inputs' size and an empty name are taken.

        Returns:
            The samples with ``pred_saliency`` (1, h, w) float in [0, 1], ``pred_sem_seg`` (1, h, w) int64,
            ``seg_logits`` (the saliency as logits) and, with an ensemble, ``saliency_std`` (1, h, w).
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        members = self.encode_decode(inputs, data_samples)  # (members, B, 1, H, W)
        return [self.fill(sample, members[:, index]) for index, sample in enumerate(data_samples)]

    def fill(self, sample: SegDataSample, members: Tensor) -> SegDataSample:
        """Writes the ensemble's maps (members, 1, H, W) in [0, 1] into one sample, at its original size."""
        maps = functional.interpolate(members, sample.ori_shape[:2], mode="bilinear", antialias=True)
        saliency = maps.mean(0).clamp(0, 1)  # (1, h, w)
        sample.pred_saliency = PixelData(data=saliency)
        sample.pred_sem_seg = PixelData(data=(saliency > self.test_cfg["threshold"]).long())
        sample.seg_logits = PixelData(data=torch.logit(saliency, 1e-6))
        if len(maps) > 1:
            sample.saliency_std = PixelData(data=maps.std(0))
        return sample

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[SegDataSample]) -> Tensor:
        """Saliency maps of all ensemble members at the inputs' size, (members, B, 1, H, W) in [0, 1]."""
        return self.decode_conditions(self.encode_conditions(inputs), batch_data_samples)

    def encode_conditions(self, inputs: Tensor) -> Conditions:
        """What the diffusion is conditioned on, computed once for all steps and ensemble members."""
        return Conditions(self.extract_feat(inputs), self.codec.encode(to_signed(inputs)))

    def decode_conditions(self, conditions: Conditions, data_samples: list[SegDataSample]) -> Tensor:
        """Saliency maps of all ensemble members, (members, B, 1, H, W) in [0, 1]."""
        if self.test_cfg["source"] == "auxiliary":
            small = to_saliency(self.decode_head.auxiliary_map(conditions.features))
            return functional.interpolate(small, scale_factor=self.codec.stride, mode="bilinear")[None]
        members = range(self.test_cfg["ensemble"])
        latents = [self.sample_latents(conditions, data_samples, member)[-1].latent for member in members]
        return torch.stack([self.decode_mask(latent) for latent in latents])

    def sample_latents(
        self, conditions: Conditions, data_samples: list[SegDataSample], member: int = 0
    ) -> list[SamplingStep]:
        """Every sampling step of one ensemble member."""
        seed = self.test_cfg["seed"]
        names = [Path(sample.metainfo.get("img_path") or "").name for sample in data_samples]
        generators = [generator(seed, Purpose.SAMPLING_NOISE, image_id(name), member) for name in names]
        latent = conditions.image_latent
        noise = standard_normal(generators, latent.shape[1:], latent.device)
        return list(self.decode_head.sample(conditions.features, latent, noise, self.test_cfg["steps"]))

    def decode_mask(self, mask_latent: Tensor) -> Tensor:
        """(B, C, H/8, W/8) -> saliency (B, 1, H, W) in [0, 1]."""
        return to_saliency(self.codec.decode(mask_latent))

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        samples = data_samples or [SegDataSample() for _ in inputs]
        return self.encode_decode(inputs, samples)


def to_signed(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], as latent codecs take them."""
    return images * 2 - 1


def to_saliency(decoded: Tensor) -> Tensor:
    """Decoded mask (B, 3, H, W), about [-1, 1] -> mean of its channels (B, 1, H, W) in [0, 1]."""
    return ((decoded.mean(1, keepdim=True) + 1) / 2).clamp(0, 1)


def checked_test_cfg(test_cfg: dict) -> dict:
    """Completes ``test_cfg`` with its defaults.

    Raises:
        ValueError: If a key is unknown or a value out of range.
    """
    defaults = dict(steps=10, ensemble=1, seed=0, threshold=0.5, source="diffusion")
    for key in test_cfg:
        check_choice("test_cfg key", key, defaults)
    complete = {**defaults, **test_cfg}
    check_choice("test_cfg.source", complete["source"], SOURCES)
    for key in ("steps", "ensemble"):
        if complete[key] < 1:
            raise ValueError(f"`test_cfg.{key}` must be at least 1, but got {complete[key]}.")
    return complete
