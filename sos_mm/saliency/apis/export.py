"""Exports one-step models as ONNX files, which run without torch and OpenMMLab."""

import json
import warnings
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sos_mm.atomic import atomic_path
from sos_mm.checks import require
from sos_mm.cutouts.onnx_cutter import METADATA

INPUT, OUTPUT = "image", "saliency"
# Has every operator that the models need, and recent onnxruntime versions support it.
OPSET = 17
# Number of images on which a model and its ONNX file are compared.
_COMPARED = 3


class FixedShapes(TorchFunctionMode):
    """Makes sizes plain integers while a model is traced.

    The exporter follows sizes as if they could change, loses them on the way, and then refuses what needs them
    (adaptive pooling, `unflatten`). Copies of tensors, such as a scheduler's, would come out empty.
    """

    def __torch_function__(self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        """Calls the function, or one that can be traced in its place."""
        if func is Tensor.__deepcopy__:
            return args[0].clone()
        if func is Tensor.unflatten:
            tensor, dim, sizes = args
            shape = list(map(int, tensor.shape))
            shape[dim : dim + 1 or None] = sizes
            return tensor.reshape(shape)
        result = func(*args, **(kwargs or {}))
        if func in (Tensor.shape.__get__, Tensor.size):
            return torch.Size(map(int, result)) if isinstance(result, tuple) else int(result)
        return result


class OneStepModel(nn.Module):
    """A saliency model as a function of the image alone.

    The initial noise of sampling is a constant of the function: zero with ``test_cfg.noise='zero'``, otherwise the
    noise of ``test_cfg.seed`` and an empty file name, which is the same for every image.

    Args:
        model: A built model whose ``test_cfg`` has one step and one member.

    Raises:
        ValueError: If it takes more.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        for key in ("num_inference_steps", "ensemble_size"):
            if model.test_cfg.get(key, 1) != 1:
                raise ValueError(
                    f"An exported model must make its map at once, but `test_cfg.{key}` is {model.test_cfg[key]}: "
                    f"set `model.test_cfg.{key}=1`."
                )
        self.model = model
        # torch's exporter sets all submodules to this module's mode; in training mode batch norms would use the batch.
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Predicts the saliency map (1, 1, h, w) in [0, 1] of RGB (1, 3, h, w) float in [0, 1], at the model's size."""
        return self.model.encode_decode(image, [SegDataSample()])[0]


def export_onnx(model: nn.Module, path: str | Path, size: tuple[int, int]) -> Path:
    """Writes a one-step model as an ONNX file that `OnnxCutter` runs.

    Args:
        model: The model; see `OneStepModel`.
        path: The file, written atomically.
        size: Height and width of the input images, to which the test pipeline resizes them.

    Returns:
        The file.

    Raises:
        ImportError: If onnx is not installed.
        ValueError: See `OneStepModel`.
    """
    onnx = require("onnx", "Exporting", "get it with `pip install -e '.[onnx]'`")
    device = next(model.parameters()).device
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        _trace(OneStepModel(model), torch.zeros(1, 3, *size, device=device), part)
        graph = onnx.load(str(part))
        # How `OnnxCutter` normalises images: RGB in [0, 1]; saliency maps are not stretched.
        form = dict(mean=[0, 0, 0], std=[1, 1, 1], brightest=False, stretch=False)
        onnx.helper.set_model_props(graph, {METADATA: json.dumps(form)})
        onnx.save(graph, str(part))
        onnx.checker.check_model(str(part))
    return path


def _trace(model: OneStepModel, image: Tensor, path: Path) -> None:
    options = dict(input_names=[INPUT], output_names=[OUTPUT], opset_version=OPSET)
    # Older versions of torch have no other exporter, and no such option.
    if "dynamo" in signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    with torch.no_grad(), FixedShapes(), warnings.catch_warnings():
        # Sizes are to become constants.
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (image,), str(path), **options)


def parity(model: nn.Module, path: str | Path) -> float:
    """Computes the largest difference between a model and its ONNX file on images of noise.

    Args:
        model: The model; see `OneStepModel`.
        path: The ONNX file.

    Raises:
        ImportError: If onnxruntime is not installed.
    """
    runtime = require("onnxruntime", "Comparing", "get it with `pip install -e '.[onnx]'`")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    exported, device = OneStepModel(model), next(model.parameters()).device
    largest = 0.0
    for _ in range(_COMPARED):
        image = rng.random(session.get_inputs()[0].shape, dtype=np.float32)
        with torch.no_grad():
            wanted = exported(torch.from_numpy(image).to(device)).cpu().numpy()
        largest = max(largest, float(np.abs(session.run(None, {INPUT: image})[0] - wanted).max()))
    return largest
