"""Salient object detection as latent diffusion (Computer Graphics Forum 43(7), e15251, 2024)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from sos_mm.checks import check_choice
from sos_mm.engine.randomness import DrawsFromRun
from sos_mm.saliency.models.afim import Context
from sos_mm.saliency.models.base_segmentor import SaliencySegmentor, ground_truth, image_name, to_saliency, to_signed
from sos_mm.saliency.models.fusion import SalientFeatures
from sos_mm.saliency.models.head import SamplingStep
from sos_mm.saliency.models.latent_cache import LatentCache
from sos_mm.saliency.models.noise import MultiResolutionNoise, standard_normal
from sos_mm.saliency.models.sliding import Window, full_window
from sos_mm.seeding import Purpose, generator, image_id

# How a decoded mask in [-1, 1] is read as logits by a pixel loss: at its ends the mask is 0.02 and 0.98.
SHARPNESS = 4.0


class Conditions(NamedTuple):
    """The conditions of the diffusion.

    Attributes:
        features: The salient features; None without an encoder.
        image_latent: (B, C, H/8, W/8); of several images one after the other along the channels.
    """

    features: SalientFeatures | None
    image_latent: Tensor


@MODELS.register_module()
class LatentDiffusionSegmentor(DrawsFromRun, SaliencySegmentor):
    """Encodes image and mask to latents, and denoises the mask's given the image's and salient features.

    With ``backbone``, ``neck`` and the head's ``afim`` None there are no salient features: the U-Net is given the
    latents alone.

    Args:
        codec: Config of the latent codec.
        mask_decoder: Config of a light decoder from mask latents to logits, in place of the codec's; None for the
            codec's. Needs the head's ``loss_pixel``, which trains it.
        image_range: ``signed`` to give the codec images in [-1, 1], as it was trained; ``unit`` for [0, 1], as the
            authors' released code does.
        train_cfg: ``noise``: arguments of :class:`MultiResolutionNoise`, or None for white noise (default).
        test_cfg: ``num_inference_steps`` (U-Net passes, default 10), ``ensemble_size`` (members, default 1),
            ``reduction`` of the members (``mean``, default, or ``median``), ``seed`` of the noise (default 0),
            ``noise`` to start from (``normal``, default, or ``zero``), ``scheduler`` (config of another diffusers
            scheduler, such as ``dict(type='diffusers.UniPCMultistepScheduler')``), ``threshold`` of ``pred_sem_seg``
            (default 0.5), ``source`` (``diffusion`` for the full model, default, or ``auxiliary`` for the encoder's
            own map), ``stretch`` (what is stretched to a minimum of 0 and a maximum of 1: None, default; ``member``,
            each member before they are reduced; ``released``, as the authors' released code does, each member and what
            they are reduced to, both before it is brought to the original size; ``result``, the final map alone),
            ``upsampling`` to the original size (PIL's ``bilinear``, default, or ``bicubic`` filter), ``tile``
            (``dict(size=384, overlap=0.25)`` to predict large inputs in tiles, default None), and ``hypotheses``
            (``dict(number=3, min_iou=0.5)`` to cluster the members into distinct masks with their shares, see
            :func:`sos_mm.cutouts.hypotheses.cluster_masks`, default None). ``steps`` and ``ensemble`` are the old names
            of the first two, and are read as these.
        **parts: Arguments of :class:`SaliencySegmentor`.
    """

    def __init__(
        self,
        codec: dict,
        mask_decoder: dict | None = None,
        image_range: str = "signed",
        train_cfg: dict | None = None,
        **parts,
    ):
        super().__init__(**parts)
        if (self.backbone is None) != (self.decode_head.afim is None):
            raise ValueError(
                "`backbone` and the head's `afim` must both be configs or both be None: "
                "the one brings the features of the other into the U-Net."
            )
        check_choice("image_range", image_range, ("signed", "unit"))
        self.image_range = image_range
        self.codec = MODELS.build(codec)
        self.stride = self.codec.stride
        latent_channels = self.codec.latent_channels
        expected, got = latent_channels, self.decode_head.denoiser.latent_channels
        if expected != got:
            raise ValueError(
                f"The U-Net must predict the codec's {expected} latent channels, but predicts {got}: choose a codec "
                "whose latents are those of the U-Net's base model (`model.codec`; 4 channels in Stable Diffusion 1 "
                "and 2, 16 in 3 and FLUX.1), or another U-Net (`model.decode_head.unet`)."
            )
        if mask_decoder is not None and self.decode_head.loss_pixel is None:
            raise ValueError("`mask_decoder` must be None without the head's `loss_pixel`: nothing would train it.")
        self.mask_decoder = MODELS.build(dict(in_channels=latent_channels, **mask_decoder)) if mask_decoder else None
        self.train_cfg = dict(train_cfg or {})
        for key in self.train_cfg:
            check_choice("train_cfg key", key, ["noise"])
        noise = self.train_cfg.get("noise")
        self.multi_resolution = MultiResolutionNoise(**noise) if noise is not None else None
        self.latent_cache: LatentCache | None = None  # Set by a hook.

    def named_losses(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Computes losses of denoising, or of pixels where the head has ``loss_pixel``."""
        saliency = ground_truth(data_samples, inputs)
        if self.decode_head.loss_pixel is not None:
            return self.pixel_losses(inputs, saliency)
        mask = to_signed(saliency).expand(-1, 3, -1, -1)  # (B, 3, H, W)
        image_latent, mask_latent = self.training_latents(inputs, mask, data_samples)  # (B, C, H/8, W/8)
        indices = [sample.sample_idx for sample in data_samples]
        last = self.decode_head.scheduler.config.num_train_timesteps
        timesteps = [int(self.draw(Purpose.TRAINING_TIMESTEP, index).integers(last)) for index in indices]
        noise = self.training_noise(indices, mask_latent, [timestep / last for timestep in timesteps])
        features = self.extract_feat(inputs)
        timesteps = torch.tensor(timesteps, device=inputs.device)
        return self.decode_head.loss(features, image_latent, mask_latent, mask, noise, timesteps)

    def pixel_losses(self, inputs: Tensor, saliency: Tensor) -> dict[str, Tensor]:
        """Computes losses of a mask predicted in one step, as in inference; saliency (B, 1, H, W)."""
        features = self.extract_feat(inputs)
        logits = self.mask_logits(self.decode_head.one_step(features, self.image_latents(inputs)))
        mask = to_signed(saliency).expand(-1, 3, -1, -1)
        return self.losses_of_logits(logits, saliency, inputs) | self.decode_head.auxiliary_loss(features, mask)

    def losses_of_logits(self, logits: Tensor, saliency: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        """Computes losses of logits and the mask, both (B, 1, H, W)."""
        return dict(loss_pixel=self.decode_head.loss_pixel(logits, saliency))

    def training_latents(
        self, inputs: Tensor, mask: Tensor, data_samples: list[SegDataSample]
    ) -> tuple[Tensor, Tensor]:
        """Returns latents of images and mask, from the cache where there is one."""
        if self.latent_cache is not None:
            return self.latent_cache.read(data_samples, inputs)
        return self.image_latents(inputs), self.codec.encode(mask)

    def training_noise(self, indices: list[int], latent: Tensor, times: list[float]) -> Tensor:
        """Draws the noise (B, C, h, w) of this epoch's visit to each image."""
        generators = [self.draw(Purpose.TRAINING_NOISE, index) for index in indices]
        shape = latent.shape[1:]
        if self.multi_resolution is None:
            return standard_normal(generators, shape, latent.device)
        rows = [self.multi_resolution(*each) for each in zip(generators, [shape] * len(times), times, strict=True)]
        return torch.stack(rows).to(latent)

    def image_latents(self, inputs: Tensor) -> Tensor:
        """Encodes images: (B, 3 n, H, W) in [0, 1] -> (B, n C, H/8, W/8)."""
        images = self.images(inputs)
        ranged = [to_signed(image) if self.image_range == "signed" else image for image in images]
        return torch.cat([self.codec.encode(image) for image in ranged], 1)

    def predict_window(
        self, inputs: Tensor, data_samples: list[SegDataSample], window: Window, test_cfg: Mapping[str, Any]
    ) -> Tensor:
        """Predicts all members: (B, 3 n, h, w) -> (members, B, 1, h, w) in [0, 1]."""
        return self.decode_conditions(self.encode_conditions(inputs), data_samples, window, test_cfg)

    def encode_conditions(self, inputs: Tensor) -> Conditions:
        """Computes the conditions of the diffusion, once for all steps and ensemble members."""
        return Conditions(self.extract_feat(inputs), self.image_latents(inputs))

    def decode_conditions(
        self,
        conditions: Conditions,
        data_samples: list[SegDataSample],
        window: Window | None = None,
        test_cfg: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Predicts saliency maps of all ensemble members, (members, B, 1, H, W) in [0, 1]."""
        settings = self.settings(test_cfg)
        if settings["source"] == "auxiliary":
            small = to_saliency(self.decode_head.auxiliary_map(conditions.features))
            return functional.interpolate(small, scale_factor=self.stride, mode="bilinear")[None]
        context = self.decode_head.condition(conditions.features)
        processes = (
            self.sample_latents(conditions, data_samples, member, context, window, settings)
            for member in range(settings["ensemble_size"])
        )
        return torch.stack([self.decode_mask(process[-1].latent) for process in processes])

    def sample_latents(
        self,
        conditions: Conditions,
        data_samples: list[SegDataSample],
        member: int = 0,
        context: Context | None = None,
        window: Window | None = None,
        test_cfg: Mapping[str, Any] | None = None,
    ) -> list[SamplingStep]:
        """Samples one ensemble member, and returns every step.

        Args:
            conditions: Conditions of the images, or of a tile of them.
            data_samples: Samples of the images; their file names seed the noise.
            member: Index of the ensemble member.
            context: The result of the head's ``condition``; computed here if None.
            window: The tile; None for the full images.
            test_cfg: Values that replace those of the model's ``test_cfg`` in this call.
        """
        settings, latent = self.settings(test_cfg), conditions.image_latent
        noise = self.starting_noise(data_samples, member, latent, window, settings)
        seeds = [noise_generator(settings["seed"], sample, member).integers(2**63) for sample in data_samples]
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        context = context or self.decode_head.condition(conditions.features)
        steps, scheduler = settings["num_inference_steps"], settings["scheduler"]
        return list(self.decode_head.sample(context, latent, noise, steps, scheduler, generators))

    def starting_noise(
        self,
        data_samples: list[SegDataSample],
        member: int,
        latent: Tensor,
        window: Window | None,
        test_cfg: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Draws the noise (B, C, h, w) that sampling starts from; a tile's is cut out of the full image's."""
        settings = self.settings(test_cfg)
        window = window or full_window(latent)._replace(canvas=tuple(side * self.stride for side in latent.shape[-2:]))
        shape = (self.codec.latent_channels, *(side // self.stride for side in window.canvas))
        if settings["noise"] == "zero":
            return torch.zeros(len(latent), shape[0], *latent.shape[-2:]).to(latent)
        generators = [noise_generator(settings["seed"], sample, member) for sample in data_samples]
        noise = standard_normal(generators, shape, latent.device)
        return noise if noise.shape[-2:] == latent.shape[-2:] else window.cut(noise, self.stride)

    def decode_mask(self, mask_latent: Tensor) -> Tensor:
        """Decodes (B, C, H/8, W/8) to saliency maps (B, 1, H, W) in [0, 1]."""
        if self.mask_decoder is not None:
            return self.mask_decoder(mask_latent).sigmoid()
        return to_saliency(self.codec.decode(mask_latent))

    def mask_logits(self, mask_latent: Tensor) -> Tensor:
        """Decodes (B, C, H/8, W/8) to logits (B, 1, H, W), as a pixel loss takes them."""
        if self.mask_decoder is not None:
            return self.mask_decoder(mask_latent)
        return SHARPNESS * self.codec.decode(mask_latent).mean(1, keepdim=True)


def noise_generator(seed: int, sample: SegDataSample, member: int) -> np.random.Generator:
    """Makes the generator of an image's noise, which depends on seed, file name and member alone."""
    return generator(seed, Purpose.SAMPLING_NOISE, image_id(image_name(sample)), member)
