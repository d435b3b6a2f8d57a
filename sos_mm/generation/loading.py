"""Loads diffusers pipelines, their components and safetensors weights from a folder, a single file or a hub id.

Only safetensors files are read: pickled weights can run code.
"""

import hashlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file

from sos_mm.checks import check_choice, require
from sos_mm.digest import sha256_of
from sos_mm.generation.model_facts import how_to_get, is_hub_id, model_facts

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OFFLOADS = ("none", "model", "sequential")
# diffusers loads with less memory if accelerate is there, and warns if it is asked to without.
_LOADING = {"use_safetensors": True, "low_cpu_mem_usage": find_spec("accelerate") is not None}
Loaded = TypeVar("Loaded")


def find_device(device: str = "auto") -> torch.device:
    """Returns the device of a name, and checks that it exists.

    Args:
        device: A name of torch, such as ``"cuda:1"`` or ``"cpu"``; ``"auto"`` for the GPU of this process's
            ``LOCAL_RANK``, which torchrun and accelerate set, or the CPU if torch sees no GPU.

    Raises:
        ValueError: If it is no device, or torch sees no such GPU.
    """
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"`device` must be 'auto' or a device of torch, but got {device!r}.") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"`device` must exist, but got {device!r}, and torch sees {torch.cuda.device_count()} GPUs.")
    return found


def find_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Returns torch's dtype of a name in `DTYPES`.

    Raises:
        ValueError: If it is another name, or float16 on the CPU, where it is slow and lacks operators.
    """
    check_choice("dtype", dtype, DTYPES)
    if dtype == "float16" and device.type == "cpu":
        raise ValueError("`dtype` must be 'float32' or 'bfloat16' on the CPU, but got 'float16'.")
    return DTYPES[dtype]


def load_pipeline(
    source: str,
    *,
    dtype: str = "float32",
    device: str = "auto",
    offload: str = "none",
    revision: str | None = None,
    variant: str | None = None,
    pipeline_class: str | None = None,
    config: str | None = None,
    **components: Any,
) -> DiffusionPipeline:
    """Loads a text-to-image pipeline, or another one by its class, and puts it on a device.

    Args:
        source: A folder in diffusers' layout, a hub id, or a single ``.safetensors`` file of the complete pipeline.
        dtype: Precision of the weights: 'float32', 'bfloat16' or 'float16' (GPU only).
        device: As `find_device`.
        offload: 'none'; 'model' keeps on the GPU only the component that runs; 'sequential' only the layer that runs,
            which is slow. The two need a GPU and the package accelerate.
        revision: Branch, tag or commit of a hub id.
        variant: Variant of the files, such as 'fp16'.
        pipeline_class: Name of a class of diffusers; required for a single file; None for the text-to-image pipeline
            of the model.
        config: Folder or hub id of the configs and tokenizers, for a single file; None lets diffusers find them on
            the hub.
        components: Components that replace those of the model, such as ``unet=...``.

    Raises:
        FileNotFoundError: If it cannot be found or read; says how to get it, its size and licence.
        ValueError: If a value is invalid, or the file is not a ``.safetensors`` file.
        ImportError: If offloading is asked for without accelerate, or the model needs a newer torch.
    """
    check_choice("offload", offload, OFFLOADS)
    target = find_device(device)
    options = {"torch_dtype": find_dtype(dtype, target), **components}
    cls = _pipeline_class(pipeline_class)
    check_offload(offload, target)
    if Path(source).is_file():
        check_safetensors_name(source)
        if pipeline_class is None:
            raise ValueError(
                f"`pipeline_class` must be given for the single file {source}, such as 'StableDiffusionXLPipeline'."
            )
        options |= {"config": config, "local_files_only": True} if config and Path(config).is_dir() else {}
        pipeline = explained(source, lambda: cls.from_single_file(source, **options))
    else:
        options |= {**_LOADING, "revision": revision, "variant": variant}
        pipeline = explained(source, lambda: cls.from_pretrained(source, **options))
    check_torch_runs(pipeline, source)
    return place_pipeline(pipeline, target, offload)


def place_pipeline(pipeline: DiffusionPipeline, device: torch.device, offload: str = "none") -> DiffusionPipeline:
    """Puts a pipeline on a device, or sets up its offloading; turns its progress bar off.

    Raises:
        ValueError, ImportError: As `check_offload`.
    """
    check_offload(offload, device)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_torch_runs(pipeline: DiffusionPipeline, source: str) -> None:
    """Checks that torch is new enough for the attention of a pipeline's transformer: that of FLUX needs torch 2.5.

    Raises:
        ImportError: If it is not.
    """
    is_flux = type(getattr(pipeline, "transformer", None)).__name__.startswith("Flux")
    if is_flux and find_spec("diffusers.models.attention_dispatch") and Version(torch.__version__) < Version("2.5"):
        raise ImportError(
            f"{source} is a FLUX model, which diffusers {diffusers.__version__} runs on torch 2.5 or newer only, but "
            f"torch {torch.__version__} is installed: install a newer torch, or name another model."
        )


def check_offload(offload: str, device: torch.device) -> None:
    """Checks that offloading is possible.

    Raises:
        ValueError: If the name is unknown, or there is no GPU to offload from.
        ImportError: If accelerate is not installed.
    """
    check_choice("offload", offload, OFFLOADS)
    if offload == "none":
        return
    if device.type == "cpu":
        raise ValueError(f"`offload` must be 'none' on the CPU, but got {offload!r}: it moves weights off a GPU.")
    require("accelerate", f"offload={offload!r}", "get it with `pip install accelerate`, or set `offload='none'`")


def _pipeline_class(name: str | None) -> Any:
    if name is None:
        return AutoPipelineForText2Image
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(cls, type) or not issubclass(cls, DiffusionPipeline):
        raise ValueError(f"`pipeline_class` must be the name of a pipeline of diffusers, but got {name!r}.")
    return cls


def load_component(
    cls: Any,
    source: str,
    subfolder: str | None = None,
    *,
    dtype: str = "float32",
    config: str | None = None,
    **options,
) -> Any:
    """Loads one component of a pipeline, such as a U-Net, on the CPU.

    Args:
        cls: Its class in diffusers.
        source: A folder in diffusers' layout, a hub id, or a single ``.safetensors`` file of the complete pipeline.
        subfolder: Its folder in the pipeline's, such as ``"unet"``; None if ``source`` is the component itself.
        dtype: One of `DTYPES`.
        config: For a single file, the folder or hub id of the configs; None lets diffusers find them on the hub.
        options: Further options of the class's ``from_pretrained`` or ``from_single_file``.

    Raises:
        FileNotFoundError: If it cannot be found or read; says how to get it, its size and licence.
        ValueError: If the file is not a ``.safetensors`` file, or the dtype is unknown.
    """
    check_choice("dtype", dtype, DTYPES)
    options = {"torch_dtype": DTYPES[dtype], **options}
    if Path(source).is_file():
        check_safetensors_name(source)
        if config:
            options |= {"config": config, "subfolder": subfolder, "local_files_only": Path(config).is_dir()}
        return explained(source, lambda: cls.from_single_file(str(source), **options))
    options |= {**_LOADING, **({"subfolder": subfolder} if subfolder else {})}
    return explained(source, lambda: cls.from_pretrained(source, **options))


def load_weights(path: str | Path, what: str = "The weights") -> dict[str, torch.Tensor]:
    """Reads the tensors of a ``.safetensors`` file, on the CPU, in the dtypes of the file.

    Args:
        path: The file; ``"OWNER/NAME:FILE"`` for a file of a hub repository.
        what: Description for error messages.

    Raises:
        FileNotFoundError: If there is no such file, or it cannot be downloaded.
        ValueError: If it is another kind of file, or damaged, such as half-downloaded.
    """
    repository, colon, file = str(path).partition(":")
    if colon and not Path(path).exists():
        path = Path(explained(repository, lambda: hf_hub_download(repository, file)))
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what} must be a .safetensors file, but {path} does not exist.")
    check_safetensors_name(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{what} in {path} cannot be read ({error}): download the file again.") from error


def check_safetensors_name(path: str | Path) -> None:
    """Raises ValueError, with the remedy, unless a file is named as a ``.safetensors`` file."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(
            f"Weights must be a .safetensors file, but {path} is another kind, which may hold code: convert it, or get "
            "the model's safetensors."
        )


def explained(source: str, load: Callable[[], Loaded]) -> Loaded:
    """Calls a loader; an error says what could not be loaded and how to get it.

    Raises:
        FileNotFoundError: If it fails in a way that a user's files or the hub can cause.
    """
    if not is_hub_id(source) and not Path(source).exists():
        raise FileNotFoundError(f"The model {source!r} does not exist: {how_to_get(source)}.")
    try:
        return load()
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FileNotFoundError(
            f"The model {source!r} could not be loaded: {text} Remedy: {how_to_get(source)}."
        ) from error


def model_identity(source: str, revision: str | None = None) -> dict[str, str]:
    """Returns what identifies a loaded model's weights, for provenance.

    Returns:
        ``source``, ``licence``, and ``revision`` (the commit of a hub id in the cache) or ``sha256`` (the content hash
        of a folder or file).
    """
    facts = model_facts(source)
    identity = {"source": source, "licence": facts.licence if facts else "unknown"}
    if Path(source).exists():
        return identity | {"sha256": content_hash(Path(source))}
    cached = try_to_load_from_cache(source, "model_index.json", revision=revision)
    commit = Path(cached).parent.name if isinstance(cached, str) else str(revision)
    return identity | {"revision": commit}


def content_hash(path: Path) -> str:
    """Computes the SHA-256 of a file, or of a folder's JSON, text and safetensors files with their names."""
    if path.is_file():
        return sha256_of(path)
    names = sorted(file.relative_to(path) for file in path.rglob("*") if _is_model_file(file))
    whole = hashlib.sha256()
    for name in names:
        whole.update(f"{name.as_posix()} {sha256_of(path / name)}\n".encode())
    return whole.hexdigest()


def _is_model_file(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[-2:])
    return path.is_file() and path.suffix in (".json", ".txt", ".model", ".safetensors") and not hidden


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that a device or the machine lacks memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def free_memory() -> None:
    """Gives memory that torch keeps for later allocations back to the GPU, after it ran out."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
