"""The image encoder: any timm backbone, as a pyramid of feature maps with channels first."""

import timm
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from timm.layers import Format
from torch import Tensor, nn


@MODELS.register_module()
class SalientEncoder(BaseModule):
    """A timm backbone as a feature pyramid.

    Unlike mmseg's ``TIMMBackbone`` it takes RGB in [0, 1], applies the backbone's own mean and standard
    deviation, and gives channels-first maps also for Swin, whose maps in timm are channels-last.

    Args:
        model_name: A name in timm, for example ``swin_base_patch4_window12_384``.
        pretrained: True for timm's weights from its hub, a path of a ``.safetensors`` file of the same
            model, or False for random weights.
        out_indices: Which stages to give, the first being 0. Default: strides 8, 16 and 32.
        checkpoint: Whether to trade time for memory in training (gradient checkpointing).
        normalize: Whether to apply the backbone's mean and standard deviation; the authors' released code does not.
        output_norm: Whether each map is given a layer normalisation of its own, as Swin has it in detection.
        **model_args: More arguments of ``timm.create_model``, for example ``img_size``.

    Raises:
        RuntimeError: If pretrained weights are asked for and cannot be had.
    """

    def __init__(
        self,
        model_name: str,
        pretrained: bool | str = False,
        out_indices: tuple[int, ...] = (1, 2, 3),
        checkpoint: bool = False,
        normalize: bool = True,
        output_norm: bool = False,
        **model_args,
    ):
        super().__init__()
        if isinstance(pretrained, str):
            model_args["pretrained_cfg_overlay"] = dict(file=pretrained)
        try:
            self.timm_model = timm.create_model(
                model_name, pretrained=bool(pretrained), features_only=True, out_indices=out_indices, **model_args
            )
        except OSError as error:
            # The hub knows them by a longer name, with the data that they were trained on.
            known = timm.get_pretrained_cfg(model_name)
            repository = known.hf_hub_id if known and known.hf_hub_id else f"timm/{model_name}"
            raise RuntimeError(
                f"The weights of {model_name} could not be loaded: {error} Download them where the hub can be reached "
                f"(`hf download {repository} model.safetensors`) and give the file as the backbone's `pretrained`, "
                "or start from random weights with `pretrained=False`."
            ) from error
        if checkpoint:
            self.timm_model.set_grad_checkpointing(True)
        self.normalize = normalize
        self.out_channels = tuple(self.timm_model.feature_info.channels())
        self.output_norm = nn.ModuleList(nn.LayerNorm(c) for c in self.out_channels) if output_norm else None
        statistics = self.timm_model.pretrained_cfg if hasattr(self.timm_model, "pretrained_cfg") else {}
        for name, default in (("mean", timm.data.IMAGENET_DEFAULT_MEAN), ("std", timm.data.IMAGENET_DEFAULT_STD)):
            value = torch.tensor(statistics.get(name, default)).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encodes RGB (B, 3, H, W) in [0, 1] to a map (B, C_i, H/s_i, W/s_i) for each stage."""
        maps = self.timm_model((images - self.mean) / self.std if self.normalize else images)
        # EfficientNet's features do not say their format: it is the usual one.
        if getattr(self.timm_model, "output_fmt", Format.NCHW) == Format.NHWC:
            maps = [m.permute(0, 3, 1, 2).contiguous() for m in maps]
        if self.output_norm is None:
            return maps
        return [norm(m.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, m in zip(self.output_norm, maps, strict=True)]
