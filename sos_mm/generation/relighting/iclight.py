"""The U-Net of IC-Light: Stable Diffusion 1.5's with more input channels, and offsets added to its weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from sos_mm.checks import check_choice
from sos_mm.generation.loading import load_weights
from sos_mm.generation.relighting.settings import CONDITIONS, DEFAULT_BASE

# Latent channels of Stable Diffusion; the condition images follow them in the U-Net's input.
LATENT_CHANNELS = 4
# Variant -> the published file, in the hub repository `lllyasviel/ic-light`.
FILES = {"fc": "iclight_sd15_fc.safetensors", "fbc": "iclight_sd15_fbc.safetensors"}
REPOSITORY = "lllyasviel/ic-light"
# Keys that an error names at most.
_SHOWN = 3


def input_channels(variant: str) -> int:
    """Returns the number of input channels of a variant: 8 for 'fc', 12 for 'fbc'."""
    check_choice("variant", variant, CONDITIONS)
    return LATENT_CHANNELS * (1 + len(CONDITIONS[variant]))


def how_to_get_offsets(variant: str) -> str:
    """Says which file a variant needs, how to get it, its size and its licence."""
    file = FILES[variant]
    return (
        f"IC-Light needs `{file}` of the hub repository {REPOSITORY} (1.7 GB; licence: creativeml-openrail-m, as its "
        f"README says) and a base model of the kind of Stable Diffusion 1.5, such as {DEFAULT_BASE} (CreativeML "
        f"OpenRAIL-M; see its card): `hf download {REPOSITORY} {file} --local-dir weights`, then give the file as "
        "`offsets` and the base model's folder as `base`"
    )


def check_base(unet: UNet2DConditionModel, source: str) -> None:
    """Checks that a U-Net is of the kind that IC-Light's offsets are for.

    Args:
        unet: The U-Net of the base model.
        source: Where it is from, for the error.

    Raises:
        ValueError: If it has other input channels, as one for inpainting has, or is of the kind of SDXL.
    """
    wrong = None
    if unet.config.in_channels != LATENT_CHANNELS:
        wrong = f"its U-Net has {unet.config.in_channels} input channels instead of {LATENT_CHANNELS}"
    elif unet.config.addition_embed_type is not None:
        wrong = f"its U-Net has additional embeddings ({unet.config.addition_embed_type!r}), as SDXL has"
    if wrong:
        raise ValueError(
            f"`base` must be a text-to-image model of the kind of Stable Diffusion 1.5, but {source!r} is not: {wrong}."
        )


def widen_conv_in(unet: UNet2DConditionModel, channels: int) -> None:
    """Gives the first convolution of a U-Net more input channels, in place; the new ones have zero weights.

    Until its weights change, the output is that of the original for any content of the new channels.

    Args:
        unet: The U-Net.
        channels: New number of input channels, at least the present one.

    Raises:
        ValueError: If the U-Net already has more.
    """
    old = unet.conv_in
    if channels < old.in_channels:
        raise ValueError(f"`channels` must be at least the U-Net's {old.in_channels}, but got {channels}.")
    new = torch.nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    new = new.to(device=old.weight.device, dtype=old.weight.dtype)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=channels)


def add_offsets(unet: UNet2DConditionModel, offsets: Mapping[str, torch.Tensor], name: str) -> None:
    """Adds offsets to all weights of a U-Net, in place and in the U-Net's precision.

    Args:
        unet: The widened U-Net.
        offsets: A tensor for each entry of its state dict.
        name: What an error names the offsets.

    Raises:
        ValueError: If an entry is missing, unknown, or of another shape; nothing is changed then.
    """
    weights = unet.state_dict()
    check_offsets({key: tuple(each.shape) for key, each in weights.items()}, offsets, name)
    with torch.no_grad():
        for key, weight in weights.items():
            weight += offsets[key].to(device=weight.device, dtype=weight.dtype)


def check_offsets(expected: Mapping[str, tuple[int, ...]], offsets: Mapping[str, torch.Tensor], name: str) -> None:
    """Checks names and shapes of offsets.

    Args:
        expected: Shape of each entry of the widened U-Net.
        offsets: The offsets by name.
        name: What an error names the offsets.

    Raises:
        ValueError: If an entry is missing, unknown, of another shape, or not of floating-point numbers.
    """
    first = offsets.get("conv_in.weight")
    if first is not None and first.ndim == 4 and first.shape[1] != expected["conv_in.weight"][1]:
        variants = {input_channels(variant): variant for variant in CONDITIONS}
        raise ValueError(
            f"{name} must be for {expected['conv_in.weight'][1]} input channels, but is for {first.shape[1]}"
            + (f": it is of the variant {variants[first.shape[1]]!r}." if first.shape[1] in variants else ".")
        )
    found = {key: tuple(each.shape) for key, each in offsets.items()}
    faults = {
        "are missing": sorted(expected.keys() - found.keys()),
        "are unknown": sorted(found.keys() - expected.keys()),
        "have another shape": sorted(key for key in expected.keys() & found.keys() if expected[key] != found[key]),
        "are no floating-point numbers": sorted(key for key, each in offsets.items() if not each.is_floating_point()),
    }
    told = [f"{len(keys)} {what} ({_described(keys, expected, found)})" for what, keys in faults.items() if keys]
    if told:
        raise ValueError(
            f"{name} must hold one tensor for each of the {len(expected)} of the base model's widened U-Net, but "
            f"{'; '.join(told)}: it is of another model, or the base model is."
        )


def _described(keys: list[str], expected: Mapping[str, tuple], found: Mapping[str, tuple]) -> str:
    """Formats the first keys, with both shapes where they differ."""
    shown = []
    for key in keys[:_SHOWN]:
        both = key in expected and key in found and expected[key] != found[key]
        shown.append(f"{key}: {found[key]} instead of {expected[key]}" if both else key)
    return ", ".join(shown) + (" ..." if len(keys) > _SHOWN else "")


def read_offsets(source: str | Path | None, variant: str) -> dict[str, torch.Tensor]:
    """Reads a file of offsets.

    Args:
        source: A ``.safetensors`` file, or ``"OWNER/NAME:FILE"`` on the hub; None for the published file.
        variant: 'fc' or 'fbc'.

    Raises:
        FileNotFoundError: If it cannot be found; names the file, its size and licence, and how to get it.
        ValueError: If it is no such file, or damaged.
    """
    check_choice("variant", variant, FILES)
    source = f"{REPOSITORY}:{FILES[variant]}" if source is None else source
    try:
        return load_weights(source, "The offsets of IC-Light")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} {how_to_get_offsets(variant)}.") from error


def to_iclight(
    unet: UNet2DConditionModel, offsets: str | Path | None = None, variant: str = "fc", base: str = "the base model"
) -> UNet2DConditionModel:
    """Turns a base model's U-Net into IC-Light's, in place.

    Args:
        unet: The U-Net; float32, so that nothing is lost in the sum.
        offsets: See `read_offsets`.
        variant: 'fc', conditioned on the foreground, or 'fbc', on foreground and background.
        base: Where the U-Net is from, for errors.

    Returns:
        The same U-Net.

    Raises:
        FileNotFoundError, ValueError: From `check_base`, `read_offsets` and `add_offsets`.
    """
    check_base(unet, base)
    widen_conv_in(unet, input_channels(variant))
    add_offsets(unet, read_offsets(offsets, variant), f"The file of offsets {offsets or FILES[variant]}")
    return unet.eval().requires_grad_(False)
