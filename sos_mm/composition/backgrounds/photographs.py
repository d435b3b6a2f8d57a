"""Backgrounds from photographs: random crops with shifted colours."""

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from sos_mm.checks import check_choice, check_folder, check_integer, check_pair, check_range, require
from sos_mm.digest import sampled_digest
from sos_mm.errors import BROKEN
from sos_mm.images import IMAGE_SUFFIXES, list_images, read_image
from sos_mm.pixel_cache import PixelCache
from sos_mm.segments.sample import SAMPLE_FOLDER, sample_group

# Weights of red, green and blue in brightness (ITU-R BT.601), and the generator of hue rotations, which keep brightness
# and grey.
_LUMA = np.array([0.299, 0.587, 0.114])
_QUARTER_TURN = np.array([[-0.16774, -0.32931, 0.49705], [0.32811, -0.03547, -0.29264], [-1.24955, 1.04634, 0.20321]])
# Threads that sample the files: on a network drive most of the time is waiting.
_READERS = 8


@dataclass(frozen=True)
class Photo:
    """A photograph on disk.

    Attributes:
        path: Path of its file.
        box: Half-open xyxy box of the part to use; the complete photograph if None.
    """

    path: Path
    box: tuple[int, int, int, int] | None = None

    def read(self) -> np.ndarray:
        """Reads the photograph as (H, W, 3) uint8 RGB.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If it cannot be decoded, or is smaller than the box; names the file.
        """
        image = read_image(self.path, 3)
        if self.box is None:
            return image
        x0, y0, x1, y1 = self.box
        height, width = image.shape[:2]
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"`box` must lie inside {self.path} ({width}x{height}), but got {self.box}.")
        return image[y0:y1, x0:x1]

    def digest(self) -> str:
        """Returns the hash of samples of the file; see `sampled_digest`. Those of files that cannot be read are equal.

        Raises:
            FileNotFoundError: If the file is missing.
        """
        try:
            return sampled_digest(self.path)
        except FileNotFoundError:
            raise
        except OSError:
            return "unreadable"


@dataclass(frozen=True)
class PhotoBackgrounds:
    """Backgrounds cropped from photographs.

    A background is a crop of a photograph with the canvas's aspect ratio, at a uniform position, scaled to the canvas
    and possibly mirrored; its colours are then shifted slightly. Every draw is uniform in its range.

    Args:
        photos: The photographs.
        crop: Range of the crop's side, as a share of the largest crop with that aspect ratio.
        max_enlargement: Largest factor by which a crop is enlarged, unless the photograph itself is too small.
        flip: Probability of a mirrored background.
        brightness: Values are multiplied by 1 plus a number in [-brightness, brightness].
        contrast: The same for the distance of values from mid-grey.
        saturation: The same for the saturation.
        hue: Largest rotation of the hue to either side, in degrees.
        cache_bytes: Limit of the cache of decoded pixels, in bytes.
        broken: What a data set does with photographs that cannot be used: 'error', or 'skip' to leave them out.

    Raises:
        ValueError: If there are no photographs, or a number is out of its range.
    """

    photos: Sequence[Photo]
    crop: tuple[float, float] = (0.4, 1.0)
    max_enlargement: float = 1.5
    flip: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.25
    hue: float = 12.0
    cache_bytes: int = 256 * 2**20
    broken: str = "error"
    _left_out: frozenset[int] = field(init=False, repr=False, default=frozenset())
    _cache: PixelCache[np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if not self.photos:
            raise ValueError("`photos` must name at least one photograph, but got none.")
        check_pair("crop", self.crop, 1e-6, 1)
        for name in ("flip", "brightness", "contrast", "saturation"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("hue", self.hue, 0, 180)
        check_range("max_enlargement", self.max_enlargement, 1, 1000)
        check_integer("cache_bytes", self.cache_bytes, 0, 2**50)
        check_choice("backgrounds.broken", self.broken, BROKEN)
        object.__setattr__(self, "_cache", PixelCache(self.cache_bytes))

    @classmethod
    def from_folder(cls, root: str | Path, **options) -> "PhotoBackgrounds":
        """Builds backgrounds from all images of a folder and its sub-folders, sorted by name.

        Raises:
            FileNotFoundError: If there is no such folder.
            ValueError: If it holds no image.
        """
        root = check_folder(root, "The backgrounds' `root`")
        paths = list_images(root, recursive=True)
        if not paths:
            raise ValueError(f"{root} must hold images ({', '.join(IMAGE_SUFFIXES)}), but there is none.")
        return cls([Photo(path) for path in paths], **options)

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Draws a background.

        Args:
            rng: Source of the random draws.
            size: Height and width in pixels.

        Returns:
            (height, width, 3) uint8 RGB, not shared.
        """
        photo, place, flip, shifts = self.draw(rng)
        image = self._crop(self._cache.get(photo, self.photos[photo].read), size, place)
        if flip < self.flip:
            image = cv2.flip(image, 1)
        limits = (self.brightness, self.contrast, self.saturation, self.hue)
        return _shift_colors(image, *(shifts * limits))

    def draw(self, rng: np.random.Generator) -> tuple[int, np.ndarray, float, np.ndarray]:
        """Draws the index of a photograph, the place of the crop (3,), the mirroring, and the colour shifts (4,)."""
        # Always the same number of draws, so that a change of one option does not affect the other draws.
        photo = int(rng.integers(len(self.photos)))
        rest = rng.random(3), rng.random(), rng.uniform(-1, 1, size=4)
        # After the others, so that all images with other photographs stay as they are.
        while photo in self._left_out:
            photo = int(rng.integers(len(self.photos)))
        return photo, *rest

    def without(self, names: Collection[str]) -> "PhotoBackgrounds":
        """Returns these backgrounds without some photographs; images that do not draw them stay the same.

        Args:
            names: Their names; see `names`.

        Raises:
            ValueError: If none is left, or there is no such photograph.
        """
        indices = {name: index for index, name in enumerate(self.names)}
        for name in names:
            if name not in indices:
                raise ValueError(f"`names` must be those of photographs of the backgrounds, but got {name!r}.")
        if len(set(names)) == len(self.photos):
            raise ValueError(f"All {len(self.photos)} photographs of the backgrounds are left out: none can be used.")
        rest = replace(self)
        object.__setattr__(rest, "_left_out", frozenset(indices[name] for name in names))
        return rest

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The photographs' names relative to their common folder, with the box if it is not the complete one."""
        root = os.path.commonpath([photo.path.absolute().parent for photo in self.photos])
        relative = [Path(os.path.relpath(photo.path.absolute(), root)).as_posix() for photo in self.photos]
        boxes = [f" {list(photo.box)}" if photo.box else "" for photo in self.photos]
        return tuple(f"{name}{box}" for name, box in zip(relative, boxes, strict=True))

    @property
    def fingerprint(self) -> str:
        """Content hash of the photographs, 64 hexadecimal digits; independent of their folder.

        It depends on their names, sizes and boxes, and on samples of their bytes (see `sampled_digest`).

        Raises:
            FileNotFoundError: If a photograph is missing; names it.
        """
        root = os.path.commonpath([photo.path.absolute().parent for photo in self.photos])
        digest = hashlib.sha256()
        with ThreadPoolExecutor(_READERS) as pool:
            sampled = pool.map(Photo.digest, self.photos)
            for photo, content in zip(self.photos, sampled, strict=True):
                name = os.path.relpath(photo.path.absolute(), root)
                digest.update(f"{Path(name).as_posix()} {content} {photo.box}\n".encode())
        return digest.hexdigest()

    def _crop(self, image: np.ndarray, size: tuple[int, int], draws: np.ndarray) -> np.ndarray:
        scale = min(image.shape[0] / size[0], image.shape[1] / size[1])
        low = min(max(self.crop[0], 1 / (self.max_enlargement * scale)), 1)
        high = max(self.crop[1], low)
        scale *= low + draws[0] * (high - low)
        height, width = max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
        y = int(draws[1] * (image.shape[0] - height + 1))
        x = int(draws[2] * (image.shape[1] - width + 1))
        return _resize(image[y : y + height, x : x + width], size)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scales an image to a height and width; reduces ten times as fast as exact area averaging."""
    # Average blocks of 2x2 while the image is at least twice too large, so that bilinear interpolation skips no pixel.
    while min(image.shape[0] / size[0], image.shape[1] / size[1]) >= 2:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    enlarged = image.shape[0] < size[0]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC if enlarged else cv2.INTER_LINEAR)


def _shift_colors(image: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """Applies all four colour shifts as one affine map of RGB, at a fraction of the cost of a conversion to HSV."""
    angle = np.radians(hue)
    grey = np.broadcast_to(_LUMA, (3, 3))
    turned = grey + (1 + saturation) * (np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * _QUARTER_TURN)
    matrix = np.empty((3, 4))
    matrix[:, :3] = (1 + brightness) * (1 + contrast) * turned
    matrix[:, 3] = -(1 + brightness) * contrast * 128
    return cv2.transform(image, matrix)


def sample_backgrounds(group: str = "train", **options) -> PhotoBackgrounds:
    """Builds backgrounds from the photographs that scikit-image includes.

    Args:
        group: 'train', 'held_out' or 'all'.
        options: Options of `PhotoBackgrounds`.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    names = set(sample_group("backgrounds", group))
    data = require("skimage.data", "The bundled sample of backgrounds", "pip install 'sos_mm[sample]'")
    folder = Path(str(data.__file__)).parent
    entries = json.loads((SAMPLE_FOLDER / "backgrounds.json").read_text(encoding="utf-8"))
    chosen = [Photo(folder / entry["file"], tuple(entry["box"])) for entry in entries if entry["name"] in names]
    return PhotoBackgrounds(chosen, **options)
