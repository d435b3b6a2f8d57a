"""Converts between the parameter names of the authors' released checkpoints and ours.

They publish a folder of the U-Net in diffusers' layout and one file of the Swin branch. The branch also holds parts
that the released model never runs (they are left of the branch's former life as a detector of its own): those are
kept aside, so that a checkpoint can be turned back without a loss.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from mmengine.registry import MODELS
from safetensors.torch import load_file, save_file
from torch import Tensor

from sos_mm.engine.checkpoints import read_checkpoint
from sos_mm.saliency.models.pretrained import load_pretrained

UNET = "decode_head.denoiser.unet."
# Prefixes of parts that are never run, and of tables that Swin computes from its window size.
UNUSED = ("context1.", "context2.", "attention0.", "attention1.", "attention2.", "decoder.conv5.", "backbone.norm0.")
DERIVED = ".relative_position_index"
UNET_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def conv_prefixes(theirs: str, ours: str) -> dict[str, str]:
    """Maps the released prefixes of the parameters of a convolution and its normalisation to ours."""
    return {f"{theirs}.conv.": f"{ours}.0.", f"{theirs}.bn.": f"{ours}.1."}


def attention_prefixes(theirs: str, ours: str) -> dict[str, str]:
    """Maps the released prefixes of the parameters of two parallel axial attentions to ours."""
    found = {}
    for index, axis in enumerate("HW"):
        found[f"{theirs}.{axis}attn.gamma"] = f"{ours}.attend.{index}.gamma"
        for part in ("query", "key", "value"):
            found |= conv_prefixes(f"{theirs}.{axis}attn.{part}_conv", f"{ours}.attend.{index}.{part}")
    return found


def branch_prefixes() -> dict[str, str]:
    """Maps all released prefixes of the Swin branch's parameters to ours."""
    found = {"backbone.patch_embed.": "backbone.timm_model.patch_embed."}
    for stage in range(4):
        found[f"backbone.layers.{stage}.blocks."] = f"backbone.timm_model.layers_{stage}.blocks."
    for stage in range(1, 4):
        # Theirs shrinks at a stage's end, timm's at the next one's beginning.
        found[f"backbone.layers.{stage - 1}.downsample."] = f"backbone.timm_model.layers_{stage}.downsample."
        found[f"backbone.norm{stage}."] = f"backbone.output_norm.{stage - 1}."
        theirs, ours = f"context{stage + 2}", f"neck.contexts.{stage - 1}"
        found |= conv_prefixes(f"{theirs}.branch0", f"{ours}.direct")
        found |= conv_prefixes(f"{theirs}.conv_cat", f"{ours}.join")
        found |= conv_prefixes(f"{theirs}.conv_res", f"{ours}.shortcut")
        for branch in range(3):
            place = (f"{theirs}.branch{branch + 1}", f"{ours}.branches.{branch}")
            found |= attention_prefixes(*place)
            for conv in range(4):
                found |= conv_prefixes(f"{place[0]}.conv{conv}", f"{place[1]}.convs.{conv}")
    for conv in range(4):
        found |= conv_prefixes(f"decoder.conv{conv + 1}", f"neck.convs.{conv}")
    return found | attention_prefixes("decoder", "neck")


def renamed(name: str, prefixes: dict[str, str]) -> str:
    """Replaces the prefix of a parameter's name.

    Raises:
        ValueError: If the name has none of the prefixes.
    """
    for before, after in prefixes.items():
        if name.startswith(before):
            return after + name[len(before) :]
    raise ValueError(f"The parameter {name!r} is none of the released model's: is this its Swin branch's file?")


def from_released(unet: dict[str, Tensor], branch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Converts the two released state dicts to ours; also returns the branch's tensors that the model never uses."""
    prefixes = branch_prefixes()
    aside = {name: value for name, value in branch.items() if name.startswith(UNUSED) or name.endswith(DERIVED)}
    state = {renamed(name, prefixes): value for name, value in branch.items() if name not in aside}
    return state | {UNET + name: value for name, value in unet.items()}, aside


def to_released(state: dict[str, Tensor], aside: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Converts our state dict, and the unused tensors, back to the two released ones: U-Net and Swin branch."""
    prefixes = {ours: theirs for theirs, ours in branch_prefixes().items()}
    unet = {name.removeprefix(UNET): value for name, value in state.items() if name.startswith(UNET)}
    branch = {
        renamed(name, prefixes): value for name, value in state.items() if name.startswith(("backbone.", "neck."))
    }
    return unet, branch | aside


def import_released(model: dict, unet: Path, branch: Path, base: str) -> dict:
    """Builds our checkpoint from the two released ones.

    The auxiliary convolution, which only training needs, was never published: it is given zeros.

    Args:
        model: The config of the model, as in ``configs/sod_diffusion/sod_diffusion_swinb_released.py``.
        unet: Their folder of the U-Net.
        branch: Their file of the Swin branch.
        base: The base model, for its VAE.

    Raises:
        FileNotFoundError: If something is not there.
        RuntimeError: If their parts are not those of the model; names what differs.
    """
    state, aside = from_released(read_unet(unet), read_checkpoint(branch))
    vae = load_pretrained(AutoencoderKL, base, "vae", model["codec"].get("architecture"))
    state |= {f"codec.vae.{name}": value for name, value in vae.state_dict().items()}
    with torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in MODELS.build(model).state_dict().items()}
    state |= {name: torch.zeros(expected[name]) for name in expected if name.startswith("decode_head.auxiliary.")}
    got = {name: tuple(value.shape) for name, value in state.items()}
    if different := sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name)):
        listed = "; ".join(f"{name} must be {expected.get(name)}, but is {got.get(name)}" for name in different[:5])
        raise RuntimeError(f"{len(different)} parameters of {unet} and {branch} are not the model's: {listed}.")
    return dict(state_dict=state, meta=dict(released_aside=aside))


def export_released(checkpoint: dict, unet: Path, branch: Path) -> None:
    """Writes a checkpoint of ours as two of theirs: the U-Net's weights to a folder, the Swin branch to a file."""
    weights, rest = to_released(checkpoint["state_dict"], checkpoint["meta"]["released_aside"])
    unet.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, unet / UNET_FILES[0])
    torch.save(rest, branch)


def read_unet(folder: Path) -> dict[str, Tensor]:
    """Reads the weights of a folder in diffusers' layout, or of its ``unet``.

    Raises:
        FileNotFoundError: If there are none.
    """
    for path in [folder / part / name for part in ("", "unet") for name in UNET_FILES]:
        if path.is_file():
            return load_file(path) if path.suffix == ".safetensors" else read_checkpoint(path)
    raise FileNotFoundError(f"There must be one of {', '.join(UNET_FILES)} in {folder} or {folder / 'unet'}.")
