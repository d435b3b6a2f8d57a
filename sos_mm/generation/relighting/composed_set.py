"""Reads a composed data set for relighting: its images, with the masks, texts and light of their objects."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_folder
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Light
from sos_mm.formats.coco import CocoFile, file_names
from sos_mm.formats.composed import is_unfinished
from sos_mm.formats.json_reader import read_json
from sos_mm.formats.objects import OBJECTS_FILE, read_objects
from sos_mm.formats.records import Record, check_below, is_size
from sos_mm.formats.rle import MaskWindow, decode_window
from sos_mm.formats.shards import check_merged
from sos_mm.generation.relighting.guard import GuardedObject
from sos_mm.images import check_image_size, read_with_alpha
from sos_mm.segments.words import Words

IMAGES, ANNOTATIONS = "images", "annotations"
_COCO = ("instances.json", "lvis_v1.json")


@dataclass(frozen=True, eq=False)
class SetImage:
    """An image of a data set, as its annotations describe it.

    Attributes:
        name: Its path below the folder of images.
        size: Height and width.
        objects: A record of each object with ``mask`` (run lengths or polygons) and ``words``.
        light: Light of the scene; None if it is not known.
    """

    name: str
    size: tuple[int, int]
    objects: Sequence[tuple[Any, Words]]
    light: Light | None = None


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image with its pixels and decoded masks.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8, joint alpha of the objects.
        objects: Masks and texts.
        sprites: The masks with soft edges, as the engine's blend takes them.
    """

    pixels: np.ndarray
    alpha: np.ndarray
    objects: Sequence[GuardedObject]
    sprites: Sequence[Sprite]


class ComposedSet:
    """A data set with a folder ``images`` and annotations with masks.

    Masks and texts come from ``annotations/objects.jsonl``, or else from a COCO or LVIS file, which has no texts.

    Args:
        root: The folder.

    Attributes:
        images: The images that the annotations describe, sorted by name.
        source: The annotation file that was read.

    Raises:
        FileNotFoundError, NotADirectoryError: If a folder or the annotations do not exist.
        ValueError: If the data set is unfinished, or its annotations are not of that kind.
    """

    def __init__(self, root: str | Path):
        self.root = check_folder(root, "The data set")
        check_folder(self.root / IMAGES, "The folder of images")
        if is_unfinished(self.root):
            raise ValueError(f"The data set must be complete, but {self.root} is not: run `sos-mm synthesize` again.")
        check_merged(self.root)
        self.source = self._annotations()
        read = _read_sidecar if self.source.name == OBJECTS_FILE else _read_coco
        self.images = sorted(read(self.source), key=lambda image: image.name)
        if not self.images:
            raise ValueError(f"{self.source} must describe images, but describes none.")
        names = {image.name for image in self.images}
        if len(names) < len(self.images):
            raise ValueError(f"{self.source} must describe each image once, but describes one twice.")

    def _annotations(self) -> Path:
        folder = self.root / ANNOTATIONS
        for name in (OBJECTS_FILE, *_COCO):
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(
            f"The masks of the objects must be in {OBJECTS_FILE}, {' or '.join(_COCO)} in {folder}, but none is there: "
            "compose the data set with the format 'objects' or 'coco'."
        )

    def path_of(self, image: SetImage) -> Path:
        """Returns the path of an image's file."""
        return self.root / IMAGES / image.name

    def other_files(self, left: Collection[str]) -> Iterator[str]:
        """Yields the paths, relative to the folder, of all files but the described images and those in ``left``."""
        described = {f"{IMAGES}/{image.name}" for image in self.images}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name not in described and name not in left:
                yield name

    def load(self, image: SetImage, soften: float) -> LoadedImage:
        """Reads an image's pixels and decodes its masks.

        Args:
            image: One of ``images``.
            soften: Standard deviation of the masks' soft edges, in pixels.

        Raises:
            FileNotFoundError: If there is no such file.
            FaultyInputError: If the file or a mask cannot be decoded, or the sizes differ.
        """
        path = self.path_of(image)
        pixels, own_alpha = read_with_alpha(path)
        check_image_size(pixels.shape[:2], image.size, path)
        objects, sprites = [], []
        for position, (mask, words) in enumerate(image.objects):
            window = decode_window(mask, image.size, f"object {position} of {image.name} in {self.source}")
            objects.append(GuardedObject(window.mask.astype(bool), (window.x, window.y), words))
            sprites.append(soft_sprite(window, image.size, soften))
        alpha = joint_alpha(sprites, image.size) if own_alpha is None else own_alpha
        return LoadedImage(pixels, alpha, objects, sprites)


def soft_sprite(mask: MaskWindow, canvas: tuple[int, int], soften: float) -> Sprite:
    """Builds the sprite of a mask, whose colours are all those of its alpha.

    Args:
        mask: The mask in its window.
        canvas: Height and width of the image.
        soften: Standard deviation of the soft edge in pixels; 0 for a hard one.
    """
    grown = mask.grown(int(np.ceil(3 * soften)), canvas)
    alpha = 255 * grown.mask
    if soften:
        # An object that meets the image's border goes on behind it.
        alpha = cv2.GaussianBlur(alpha, (0, 0), soften, borderType=cv2.BORDER_REPLICATE)
    height, width = alpha.shape
    box = grown.x, grown.y, grown.x + width, grown.y + height
    return Sprite(np.repeat(alpha[..., None], 4, axis=2), (grown.x, grown.y), 0, box)


def joint_alpha(sprites: Sequence[Sprite], canvas: tuple[int, int]) -> np.ndarray:
    """Computes the joint alpha of objects whose masks do not overlap, (H, W) uint8.

    At the border of two objects both of their soft edges add up, so that nothing shows through between them.
    """
    alpha = np.zeros(canvas, np.uint8)
    for sprite in sprites:
        alpha[sprite.window] = cv2.add(alpha[sprite.window], sprite.alpha)
    return alpha


def _read_sidecar(path: Path) -> Iterator[SetImage]:
    """Reads the images of ``objects.jsonl``; ignored regions are objects too, without texts."""
    for name, line in read_objects(path):
        objects = []
        for each in (*line["objects"], *(line.get("ignored") or ())):
            if each.get("modal") is None:
                raise ValueError(f"{name} each object must have `modal`, its mask: compose with `masks=True`.")
            objects.append((each["modal"], _words(each)))
        height, width = line["canvas"]
        file_name = check_below(line["file_name"], f"{name} `file_name`")
        yield SetImage(file_name, (height, width), objects, _light(line, name))


def _words(record: Record) -> Words:
    texts = [str(record.get(key) or "") for key in ("category", "sub_category", "phrase", "description")]
    return Words(texts[0], texts[1], texts[2], texts[3], tuple(map(str, record.get("attributes") or ())))


def _light(line: Record, name: str) -> Light | None:
    if not line.get("light"):
        return None
    try:
        return Light(float(line["light"]["azimuth"]), float(line["light"]["elevation"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} `light` must have `azimuth` and `elevation` in degrees: {error}.") from error


def _read_coco(path: Path) -> Iterator[SetImage]:
    file = CocoFile(read_json(path), path)
    objects: dict[Any, list[tuple[Any, Words]]] = {id: [] for id in file.images}
    for each in file.annotations:
        image, category = file.image_of(each), file.category_of(each)
        if each.get("segmentation"):
            objects[image["id"]].append((each["segmentation"], Words(str(category["name"]), "", "", "", ())))
    for id, image in file.images.items():
        height: Any = image.get("height")
        width: Any = image.get("width")
        if not is_size(height) or not is_size(width):
            raise ValueError(f"{path}: image {id} must have `height` and `width`, but has {height!r} and {width!r}.")
        yield SetImage(file_names(image)[0], (height, width), objects[id])
