"""The U-Net that denoises mask latents, with image latents as additional input channels."""

import re

import torch
from diffusers import UNet2DConditionModel
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from sos_mm.checks import check_choice
from sos_mm.saliency.models.afim import Context, cross_attentions
from sos_mm.saliency.models.pretrained import load_pretrained


@MODELS.register_module()
class LatentDenoiser(BaseModule):
    """A U-Net of Stable Diffusion whose input are the image's latents and the noisy mask's, concatenated.

    Self-attention is torch's ``scaled_dot_product_attention``, as diffusers has it.

    Args:
        pretrained: Folder (diffusers' layout), hub id or single ``.safetensors`` file of the base model; None for
            random weights.
        architecture: Arguments of ``diffusers.UNet2DConditionModel`` where ``pretrained`` is None or a single file.
        image_latents: Number of image latents that are concatenated with the mask's: one for each input image.
        widen: How the first convolution, which takes one latent, is adapted to several. ``duplicate``: its kernel is
            repeated for each latent and divided by their number, so that training starts from the activations that the
            other layers were trained with. ``random``: the kernel is initialised randomly and the bias kept, as in the
            authors' released code.
        layers_per_block: Number of layers in each block to which the base model is pruned: the first ones are kept, and
            in the upward half the last one, which reads the block below. None keeps all.
        middle: Whether to keep the middle block.
        checkpoint: Whether to trade time for memory in training (gradient checkpointing).
        compile: Arguments of ``torch.compile`` for the U-Net, True for its defaults, or False.
    """

    def __init__(
        self,
        pretrained: str | None,
        architecture: dict | None = None,
        image_latents: int = 1,
        widen: str = "duplicate",
        layers_per_block: int | None = None,
        middle: bool = True,
        checkpoint: bool = False,
        compile: bool | dict = False,
    ):
        super().__init__()
        check_choice("widen", widen, ("duplicate", "random"))
        if pretrained is not None:
            self.unet = load_pretrained(UNet2DConditionModel, pretrained, "unet", architecture)
            if layers_per_block is not None or not middle:
                self.unet = pruned(self.unet, layers_per_block, middle)
        else:
            changes = pruned_architecture(layers_per_block, middle)
            self.unet = UNet2DConditionModel(**{**(architecture or {}), **changes})
        latents = image_latents + 1
        if self.unet.config.in_channels == self.unet.config.out_channels:
            widen_input(self.unet, latents, fresh=widen == "random")
        if self.unet.config.in_channels != latents * self.unet.config.out_channels:
            channels = f"{self.unet.config.in_channels} and {self.unet.config.out_channels}"
            raise ValueError(
                f"The U-Net must take one latent or {latents} and give one, but its channels are {channels}."
            )
        if checkpoint:
            self.unet.enable_gradient_checkpointing()
        if compile:
            self.unet.compile(**(compile if isinstance(compile, dict) else {}))

    @property
    def latent_channels(self) -> int:
        """Returns the channels of one latent."""
        return self.unet.config.out_channels

    @property
    def context_channels(self) -> int:
        """Returns the channels of the cross-attention context."""
        return self.unet.config.cross_attention_dim

    @property
    def levels(self) -> int:
        """Returns the number of resolutions at which the U-Net has cross-attention."""
        return 1 + max((level for level, _ in cross_attentions(self.unet)), default=-1)

    def forward(self, image_latent: Tensor, noisy_latent: Tensor, timesteps: Tensor, context: Context | None) -> Tensor:
        """Predicts velocity, noise or mask latent, as the scheduler defines it.

        Args:
            image_latent: (B, n C, h, w), the latents of n images.
            noisy_latent: (B, C, h, w).
            timesteps: (B,) or ().
            context: Input of the cross-attention layers; None if there are none.

        Returns:
            The prediction, (B, C, h, w).
        """
        stacked = torch.cat([image_latent, noisy_latent], 1)
        return self.unet(stacked, timesteps, encoder_hidden_states=context, return_dict=False)[0]


def widen_input(unet: UNet2DConditionModel, times: int = 2, fresh: bool = False) -> None:
    """Multiplies a U-Net's input channels: repeats and divides the first kernel, or (``fresh``) draws a random one.

    The bias, whose shape does not change, is kept.
    """
    old = unet.conv_in
    new = nn.Conv2d(times * old.in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        new.bias.copy_(old.bias)
        if not fresh:
            new.weight.copy_(old.weight.repeat(1, times, 1, 1) / times)
    unet.conv_in = new
    unet.register_to_config(in_channels=new.in_channels)


def pruned_architecture(layers_per_block: int | None, middle: bool) -> dict:
    """Returns what pruning changes in a U-Net's config."""
    changes = {} if layers_per_block is None else dict(layers_per_block=layers_per_block)
    return changes if middle else {**changes, "mid_block_type": None}


def pruned(unet: UNet2DConditionModel, layers_per_block: int | None, middle: bool) -> UNet2DConditionModel:
    """Makes a smaller U-Net with the weights of those layers that it keeps.

    Raises:
        ValueError: If there are fewer layers than should be kept.
    """
    before = unet.config.layers_per_block
    kept = before if layers_per_block is None else layers_per_block
    if not 1 <= kept <= before:
        raise ValueError(f"`layers_per_block` must be 1 to the base model's {before}, but got {kept}.")
    small = UNet2DConditionModel.from_config({**unet.config, **pruned_architecture(kept, middle)})
    weights = unet.state_dict()
    # An upward block has one layer more, and its last one has the inputs of the block below.
    source = re.compile(rf"(up_blocks\.\d+\.(?:resnets|attentions)\.){kept}(?=\.)")
    taken = {name: weights[source.sub(rf"\g<1>{before}", name)] for name in small.state_dict()}
    small.load_state_dict(taken)
    return small
