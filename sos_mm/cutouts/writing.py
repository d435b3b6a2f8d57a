"""Writes the results of cutting out: saliency maps, cut-outs, and overlays for inspection."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sos_mm.atomic import write_atomic
from sos_mm.checks import check_choice, writable_folder
from sos_mm.cutouts.hypotheses import Hypothesis
from sos_mm.cutouts.photographs import Video
from sos_mm.images import IMAGE_SUFFIXES, bands, is_listed
from sos_mm.segments.foreground import cut_out
from sos_mm.segments.segment import OPAQUE

KINDS = ("saliency", "cutout", "overlay", "uncertainty")
_HYPOTHESES = "hypotheses"
_TINT = np.array([255, 64, 64], np.float32)


class CutoutWriter:
    """Writes a folder of PNG files for each kind: ``<out>/<kind>/<name>.png``.

    Of several hypotheses it writes ``<out>/hypotheses/<kind>/<name>/<1, 2, ...>.png``, the largest share first, and
    their shares, ``<out>/hypotheses/shares/<name>.json``.

    Args:
        out: The folder; created if it does not exist.
        kinds: Which of 'saliency' (grey), 'cutout' (RGBA), 'overlay' (the image with its background in grey and the
            object's outline) and 'uncertainty' (grey; only if it is computed).

    Raises:
        ValueError: If there is no such kind.
        PermissionError: If the folder cannot be written.
    """

    def __init__(self, out: str | Path, kinds: Sequence[str] = KINDS):
        for kind in kinds:
            check_choice("kind of output", kind, KINDS)
        self.kinds = tuple(kinds)
        self.out = writable_folder(out, "The output folder")

    def write(
        self,
        name: str,
        image: np.ndarray,
        alpha: np.ndarray,
        uncertainty: np.ndarray | None = None,
        hypotheses: Sequence[Hypothesis] = (),
    ) -> None:
        """Writes the files of one image.

        Args:
            name: Stem of the files; see `Photograph`.
            image: (H, W, 3) uint8 RGB.
            alpha: (H, W) uint8.
            uncertainty: (H, W) float in [0, 1].
            hypotheses: Several masks of what is salient.
        """
        self._write_map(self.out, name, image, alpha)
        if "uncertainty" in self.kinds and uncertainty is not None:
            grey = np.rint(np.clip(uncertainty, 0, 1) * 255).astype(np.uint8)
            save_png(self.out / "uncertainty" / f"{name}.png", grey)
        for number, each in enumerate(hypotheses, 1):
            self._write_map(self.out / _HYPOTHESES, f"{name}/{number}", image, each.alpha)
        if hypotheses:
            path = self.out / _HYPOTHESES / "shares" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps({"shares": [each.share for each in hypotheses]}).encode())

    def _write_map(self, folder: Path, name: str, image: np.ndarray, alpha: np.ndarray) -> None:
        """Writes the kinds of files that follow from one alpha."""
        if "saliency" in self.kinds:
            save_png(folder / "saliency" / f"{name}.png", alpha)
        if "cutout" in self.kinds:
            save_png(folder / "cutout" / f"{name}.png", cv2.cvtColor(cut_out(image, alpha), cv2.COLOR_RGBA2BGRA))
        if "overlay" in self.kinds:
            save_png(folder / "overlay" / f"{name}.png", cv2.cvtColor(overlay(image, alpha), cv2.COLOR_RGB2BGR))


def check_not_swapped(inputs: Sequence[str | Path], out: str | Path) -> None:
    """Checks that images and the folder of results are not swapped, which would put results among the images.

    Args:
        inputs: Files and folders of images.
        out: Folder of the results.

    Raises:
        ValueError: If all images of a folder are results of `CutoutWriter`, and those of ``out`` are not.
    """
    for each in map(Path, inputs):
        if each.is_dir() and not _holds_others(each) and _holds_others(Path(out)):
            raise ValueError(
                f"The images must be named before the folder of results, but {each} holds nothing but results of an "
                f"earlier run, and {out} holds images: if the two are swapped, name {out} first, else name another "
                "folder of results."
            )


def _holds_others(folder: Path) -> bool:
    """Returns whether a folder, or one in it, holds images that are not in the folders of `CutoutWriter`."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return any(is_listed(path) and path.parts[0] not in (*KINDS, _HYPOTHESES) for path in paths)


def save_png(path: Path, image: np.ndarray) -> None:
    """Writes an image in OpenCV's channel order as a PNG file, atomically.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, cv2.imencode(".png", image)[1].tobytes())


def overlay(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Draws the object's outline on the image with a pale grey background: (H, W, 3) uint8 RGB."""
    mixed = np.empty_like(image)
    for rows in bands(alpha.shape):
        grey = cv2.cvtColor(image[rows], cv2.COLOR_RGB2GRAY).astype(np.float32) * 0.35 + 100
        weight = alpha[rows].astype(np.float32) / 255
        grey *= 1 - weight
        for channel in range(3):
            mixed[rows, :, channel] = np.rint(image[rows, :, channel] * weight + grey)
    contours, _ = cv2.findContours((alpha >= OPAQUE).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(alpha.shape) / 400))
    return cv2.drawContours(mixed, contours, -1, _TINT.tolist(), thickness, cv2.LINE_AA)


class OverlayVideo:
    """Writes the overlays of a video's frames as a video ``<out>/overlay/<name>.mp4``, if overlays are requested.

    Args:
        writer: The writer, with the output folder and the requested kinds.
        video: The video.
    """

    def __init__(self, writer: CutoutWriter, video: Video):
        self.path = writer.out / "overlay" / f"{video.path.stem}.mp4" if "overlay" in writer.kinds else None
        self.rate = video.rate
        self._file: cv2.VideoWriter | None = None

    def __enter__(self) -> "OverlayVideo":
        return self

    def __exit__(self, *_) -> None:
        if self._file is not None:
            self._file.release()

    def add(self, image: np.ndarray, alpha: np.ndarray) -> None:
        """Adds a frame (H, W, 3) uint8 RGB with its alpha (H, W) uint8.

        Raises:
            OSError: If the file cannot be written.
        """
        if self.path is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec, size = cv2.VideoWriter_fourcc(*"mp4v"), (image.shape[1], image.shape[0])
            self._file = cv2.VideoWriter(str(self.path), codec, self.rate, size)
            if not self._file.isOpened():
                raise OSError(f"The video {self.path} cannot be written by OpenCV: leave 'overlay' out of the kinds.")
        self._file.write(cv2.cvtColor(overlay(image, alpha), cv2.COLOR_RGB2BGR))
