"""Contact sheets: small copies of scenes, each without and with its masks, with the names of the categories."""

import struct
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from sos_mm.atomic import write_atomic
from sos_mm.composition.scene import Scene

Color = tuple[int, int, int]

_PAPER, _INK, _IGNORED = (255, 255, 255), (40, 40, 40), (150, 150, 150)
_GAP, _LINE, _SWATCH = 8, 18, 11
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
_FILL = 0.4
# PNG text chunk that marks a file as a contact sheet.
_MARK = b"Software\0sos_mm contact sheet"


def contact_sheet(scenes: Sequence[Scene], title: str, columns: int = 3, side: int = 320) -> np.ndarray:
    """Draws scenes on one sheet, each twice: without and with the modal masks of its objects.

    Each category of a scene has a colour, listed below the images; in another scene it may have another one. Ignore
    regions are grey. A transparent scene is shown over a chequerboard. OpenCV's font has ASCII characters only; other
    characters are shown as question marks.

    Args:
        scenes: The scenes, at least one.
        title: First line of the sheet.
        columns: Number of scenes in a row.
        side: Longer side of each drawn image, in pixels; smaller images are enlarged by nearest-neighbour
            interpolation.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    cells = [_cell(scene, index, side) for index, scene in enumerate(scenes)]
    width = cells[0].shape[1] * columns + _GAP * (columns + 1)
    rows = [np.pad(_text_line(width - _GAP, [(title, None)]), ((0, 0), (_GAP, 0), (0, 0)), constant_values=_PAPER[0])]
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        height = max(cell.shape[0] for cell in row)
        strip = np.full((height + _GAP, width, 3), _PAPER, np.uint8)
        for column, cell in enumerate(row):
            x = _GAP + column * (cell.shape[1] + _GAP)
            strip[: cell.shape[0], x : x + cell.shape[1]] = cell
        rows.append(strip)
    return np.concatenate(rows)


def comparison_sheet(columns: Mapping[str, Sequence[np.ndarray]], side: int = 320) -> np.ndarray:
    """Draws images side by side: a column for each title, a row for each position in the columns.

    Args:
        columns: (H, W, 3) uint8 RGB images by the title of their column, equally many in each.
        side: Longer side of each drawn image, in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = []
    for title, images in columns.items():
        cells = [_resized(image, side) for image in images]
        width = max(cell.shape[1] for cell in cells)
        cells = [_text_line(width, [(title, None)]), *cells]
        padded = [
            np.pad(each, ((0, _GAP), (0, width + _GAP - each.shape[1]), (0, 0)), constant_values=255) for each in cells
        ]
        drawn.append(np.concatenate(padded))
    return np.pad(np.concatenate(drawn, axis=1), ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=_PAPER[0])


def check_sheet_path(path: str | Path) -> Path:
    """Checks that a sheet may be written to a path: a new PNG file, or an existing contact sheet.

    Raises:
        FileExistsError: If another file exists there.
        FileNotFoundError: If its folder does not exist.
        ValueError: If its name does not end in .png.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"The sheet must be a .png file, but got {path}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder of the sheet must exist, but {path.parent} does not.")
    if path.exists() and not (path.is_file() and _MARK in path.read_bytes()[:200]):
        raise FileExistsError(f"{path} is there already and is not a sheet that was made here: choose another name.")
    return path


def write_sheet(path: str | Path, sheet: np.ndarray) -> None:
    """Writes a sheet; an existing sheet is replaced.

    Args:
        path: A path that `check_sheet_path` accepts.
        sheet: (H, W, 3) uint8 RGB.

    Raises:
        OSError, ValueError: From `check_sheet_path`, and if the file cannot be written.
    """
    png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    chunk = b"tEXt" + _MARK
    mark = struct.pack(">I", len(_MARK)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    header = 8 + 25  # The PNG signature and the IHDR chunk.
    write_atomic(check_sheet_path(path), png[:header] + mark + png[header:])


def _category_colors(scene: Scene) -> dict[str, Color]:
    """Returns a saturated colour for each category of a scene."""
    names = sorted({each.category for each in scene.objects})
    # Steps of the golden ratio keep the hues of any number of categories apart.
    hues = np.array([index * 0.618034 % 1 * 180 for index in range(len(names))], np.uint8)
    values = np.array([255 if index % 2 == 0 else 205 for index in range(len(names))], np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 255), values], axis=-1)[None]
    return dict(zip(names, map(tuple, cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].tolist()), strict=True))


def _cell(scene: Scene, index: int, side: int) -> np.ndarray:
    """Draws one scene: image, image with masks, and below them its number and its categories."""
    colors, image = _category_colors(scene), _resized(_over_chequerboard(scene), side)
    pair = [image, np.full((image.shape[0], 2, 3), _PAPER, np.uint8), _with_masks(image, scene, colors)]
    images = np.concatenate(pair, axis=1)
    number = len(scene.objects)
    counts = Counter(each.category for each in scene.objects)
    words: list[tuple[str, Color | None]] = [(f"{index}: {number} object{'s' * (number != 1)}", None)]
    words += [(f"{name} x{count}" if count > 1 else name, colors[name]) for name, count in sorted(counts.items())]
    if scene.ignored:
        words.append((f"ignored x{len(scene.ignored)}", _IGNORED))
    return np.concatenate([images, _text_line(images.shape[1], words)])


def _over_chequerboard(scene: Scene) -> np.ndarray:
    """Composites the image over a chequerboard where it is transparent."""
    if scene.alpha is None:
        return scene.image
    rows, columns = np.indices(scene.size) // max(max(scene.size) // 32, 1)
    ground = np.where((rows + columns) % 2, 235, 190)[..., None]
    through = 1 - scene.alpha[..., None] / 255
    return np.clip(np.rint(scene.image + ground * through), 0, 255).astype(np.uint8)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(image.shape[:2])
    size = tuple(max(round(each * scale), 1) for each in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _with_masks(image: np.ndarray, scene: Scene, colors: Mapping[str, Color]) -> np.ndarray:
    """Draws all masks, filled and outlined, on a reduced copy of the image."""
    drawn, size = image.copy(), image.shape[1::-1]
    owner = cv2.resize(scene.owner, size, interpolation=cv2.INTER_NEAREST)
    for region in scene.ignored:
        whole = np.zeros(scene.size, np.uint8)
        x0, y0, x1, y1 = region.box
        whole[y0:y1, x0:x1] = region.mask
        _paint(drawn, cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST), _IGNORED)
    for each in scene.objects:
        _paint(drawn, (owner == each.z_order + 1).view(np.uint8), colors[each.category])
    return drawn


def _paint(image: np.ndarray, mask: np.ndarray, color: Color) -> None:
    """Fills a (H, W) mask of 0 and 1 half transparently, and draws its outline, in place."""
    inside = mask > 0
    image[inside] = np.rint(image[inside] * (1 - _FILL) + np.array(color) * _FILL).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, color, 1)


def _text_line(width: int, words: Sequence[tuple[str, Color | None]]) -> np.ndarray:
    """Draws a strip of words in as many lines as needed, each coloured word with a swatch before it."""
    positions, x, line = [], 0, 0
    for text, color in words:
        needed = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] + (_SWATCH + 4) * (color is not None)
        if x and x + needed > width:
            x, line = 0, line + 1
        positions.append((x, line))
        x += needed + 12
    strip = np.full(((line + 1) * _LINE + _GAP, width, 3), _PAPER, np.uint8)
    for (text, color), (x, line) in zip(words, positions, strict=True):
        y = line * _LINE + _LINE
        if color is not None:
            cv2.rectangle(strip, (x, y - _SWATCH + 1), (x + _SWATCH - 1, y), color, cv2.FILLED)
            x += _SWATCH + 4
        cv2.putText(strip, text, (x, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return strip
