"""Sources of input images: files, folders, frames of videos, and arrays, read one after another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import FaultyInputError, check_choice
from sos_mm.errors import ErrorCollector
from sos_mm.images import IMAGE_SUFFIXES, list_images, read_image

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


@dataclass(frozen=True, eq=False)
class Photograph:
    """An input image that is read when it is needed.

    Attributes:
        name: Stem of its output files: its path relative to the given folder, without suffix.
        source: Its file, or its pixels as `to_rgb` takes them.
        channel_order: Channel order of an array: 'rgb' or 'bgr'.
    """

    name: str
    source: Path | np.ndarray
    channel_order: str = "rgb"

    @property
    def path(self) -> str:
        """Path of the file, or the name of an image without one, for error messages."""
        return str(self.source) if isinstance(self.source, Path) else self.name

    def read(self) -> np.ndarray:
        """Reads the image as (H, W, 3) uint8 RGB, rotated by its EXIF orientation; an alpha channel is dropped.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not an image; names it.
        """
        if isinstance(self.source, Path):
            return read_image(self.source, channels=3)
        return to_rgb(self.source, self.name, self.channel_order)


def to_rgb(image: np.ndarray, name: str = "image", channel_order: str = "rgb") -> np.ndarray:
    """Converts an array to an RGB image.

    Args:
        image: (H, W) or (H, W, 1) grey, (H, W, 3) colour or (H, W, 4) colour and alpha, which is dropped; uint8,
            uint16, bool, or float in [0, 1].
        name: Name of the image in error messages.
        channel_order: Order of its colour channels: 'rgb' or 'bgr'.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FaultyInputError: If it has another shape or dtype, or values out of range.
    """
    check_choice("channel_order", channel_order, ("rgb", "bgr"))
    grey = image[..., None] if image.ndim == 2 else image
    if grey.ndim != 3 or grey.shape[2] not in (1, 3, 4) or not grey.size:
        text = f"The image {name} must be of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), but got {image.shape}."
        raise FaultyInputError("not the shape of an image", text)
    colors = np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey[..., :3]
    if channel_order == "bgr":
        colors = colors[..., ::-1]
    return np.ascontiguousarray(_to_uint8(colors, name))


def _to_uint8(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * 255
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)  # As OpenCV converts 16-bit files.
    if np.issubdtype(image.dtype, np.floating):
        if image.min() >= 0 and image.max() <= 1:  # Also false for NaN.
            return np.rint(image * 255).astype(np.uint8)
        got = f"values from {image.min():g} to {image.max():g}"
        raise FaultyInputError("floats outside [0, 1]", f"Floats of the image {name} must be in [0, 1], but got {got}.")
    text = f"The image {name} must be uint8, uint16, bool or float, but got {image.dtype}."
    raise FaultyInputError("not the type of an image", text)


def find_photographs(inputs: Any, channel_order: str = "rgb") -> list[Photograph]:
    """Lists the images of the inputs.

    Args:
        inputs: A file, a folder (with its sub-folders), an array, or a list of any of these.
        channel_order: Channel order of arrays: 'rgb' or 'bgr'.

    Raises:
        FileNotFoundError: If there is no such file or folder, or a folder holds no images.
        ValueError: If two images would have output files of the same name.
        TypeError: If an input has another type.
    """
    many = inputs if isinstance(inputs, list | tuple) else [inputs]
    found = [photograph for index, each in enumerate(many) for photograph in _expand(each, index, channel_order)]
    names: dict[str, Photograph] = {}
    for photograph in found:
        first = names.setdefault(photograph.name, photograph)
        if first is not photograph:
            raise ValueError(
                f"Results must have names of their own, but those of {first.path} and {photograph.path} would both be "
                f"called {photograph.name!r}: rename one, or give them apart."
            )
    return found


def check_results_apart(inputs: Any, out: str | Path) -> None:
    """Checks that no folder of images holds the folder of their results, which the next run would take for images.

    Args:
        inputs: The images, as for `find_photographs`.
        out: Folder of the results.

    Raises:
        ValueError: If one does; names both.
    """
    target = Path(out).resolve()
    for each in inputs if isinstance(inputs, list | tuple) else [inputs]:
        if isinstance(each, str | Path) and Path(each).is_dir() and target.is_relative_to(Path(each).resolve()):
            raise ValueError(
                f"The folder of results must lie outside the folders of images, but {out} is in {each}, so that the "
                "next run would take the results for images: name another."
            )


def read_each(photographs: Iterable[Photograph], faults: ErrorCollector) -> Iterator[tuple[Photograph, np.ndarray]]:
    """Yields each image with its (H, W, 3) uint8 RGB pixels; ``faults`` records images that cannot be read."""
    for photograph in photographs:
        try:
            image = photograph.read()
        except (OSError, ValueError) as error:
            faults.record(error)
            continue
        yield photograph, image


def _expand(each: Any, index: int, channel_order: str) -> list[Photograph]:
    if isinstance(each, Photograph):
        return [each]
    if isinstance(each, np.ndarray):
        return [Photograph(f"{index:06d}", each, channel_order)]
    if not isinstance(each, str | Path):
        raise TypeError(f"Images must be paths, folders or arrays, but got {type(each).__name__}.")
    path = Path(each)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"The image or folder {path} does not exist.")
        return [Photograph(path.stem, path)]
    files = list_images(path, recursive=True)
    if not files:
        raise FileNotFoundError(f"The folder {path} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return [Photograph(file.relative_to(path).with_suffix("").as_posix(), file) for file in files]


class Video:
    """The frames of a video as input images, read one after another.

    Args:
        path: A file that OpenCV can decode.

    Attributes:
        frames: Number of frames by the file's header.
        rate: Frames per second.

    Raises:
        FileNotFoundError: If there is no such file.
        FaultyInputError: If it cannot be decoded.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"The video {path} does not exist.")
        capture = self._open()
        self.frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            text = f"The video {self.path} cannot be decoded: replace it, or convert it to MP4 (H.264)."
            raise FaultyInputError("cannot be decoded", text)
        return capture

    def __iter__(self) -> Iterator[Photograph]:
        """Yields the frames, named ``<name of the video>/<number of the frame>``."""
        capture = self._open()
        try:
            number = 0
            while (frame := capture.read()[1]) is not None:
                yield Photograph(f"{self.path.stem}/{number:06d}", frame, "bgr")
                number += 1
        finally:
            capture.release()


def is_video(path: Any) -> bool:
    """Returns whether a path has the suffix of a video file."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in VIDEO_SUFFIXES


def chunks(values: Iterable, size: int) -> Iterator[list]:
    """Yields lists of up to ``size`` values."""
    chunk: list = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
