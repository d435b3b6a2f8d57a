"""Lists, checks and reads image files, with errors that name the file and the remedy; splits images into bands."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from struct import Struct

import numpy as np

from sos_mm.checks import FaultyInputError
from sos_mm.image_header import read_header

# Twice the limit of Pillow's warning, above which Pillow raises an error: 178,956,970 pixels.
DEFAULT_MAX_PIXELS = 2 * (1024**3 // 4 // 3)
# The environment variable with another limit.
MAX_PIXELS = "SOS_MM_MAX_PIXELS"
_PNG = b"\x89PNG\r\n\x1a\n"
# A chunk of such a file: the length of its content and its name; then the content and a checksum of four bytes.
_CHUNK_HEAD = Struct(">I4s")
# Of the chunks of a PNG file that a decoder may pass over, those that change what OpenCV decodes: transparency,
# orientation, background, and frames of animations.
_PNG_KEPT = (b"tRNS", b"eXIf", b"bKGD", b"acTL", b"fcTL", b"fdAT")
# Number of pixels of a band: its arrays of 8 bytes a pixel stay in the processor's cache, and the memory of one band
# serves for the next. Asking the system for new memory takes longer than computing.
_BAND = 2**14
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Kinds whose alpha is read, and reasons why such a file is read without it.
_WITH_ALPHA = (".png", ".webp")
_OPAQUE = ("no alpha channel", "not 8-bit")
# Images of kinds that are not read: OpenCV reads them in some of its builds alone, or their first frame.
_UNREAD_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl")
# Folder of an archive made on macOS that holds no images, but resource forks of the same names.
_RESOURCE_FORKS = "__MACOSX"
# A mask with values over 0, but none above this, holds numbers of labels, not shades.
MOST_LABELS = 32


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yields the rows of an image of a shape (H, W) in bands of about 16,384 pixels, to compute them one by one."""
    height, width = shape
    step = max(1, _BAND // max(width, 1))
    yield from (slice(top, min(top + step, height)) for top in range(0, height, step))


def is_listed(path: PurePath) -> bool:
    """Returns whether a path may be an input: no part of it is hidden, or a folder of macOS's resource forks.

    This one rule holds wherever files are listed. Give the path relative to the folder that is listed.
    """
    return not any((part.startswith(".") and part != "..") or part == _RESOURCE_FORKS for part in path.parts)


def list_images(folder: str | Path, recursive: bool = False, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Lists the image files of a folder, sorted; hidden files, and folders whatever their names, are left out.

    Args:
        folder: The folder.
        recursive: Whether to list its sub-folders too.
        suffixes: Suffixes of the files, in lower case.

    Raises:
        ValueError: If it holds images of a kind that is not read, such as GIF; names one.
    """
    folder = Path(folder)
    found = folder.rglob("*") if recursive else folder.iterdir()
    files = sorted(path for path in found if is_listed(path.relative_to(folder)) and path.is_file())
    check_read(files)
    return [path for path in files if path.suffix.lower() in suffixes]


def check_read(files: Iterable[PurePath]) -> None:
    """Raises ValueError if one of some files is an image of a kind that is not read."""
    unread = [path for path in files if path.suffix.lower() in _UNREAD_SUFFIXES]
    if unread:
        raise ValueError(
            f"{unread[0]} is a {unread[0].suffix[1:].upper()} file, which is not read ({len(unread)} of such kinds "
            f"here): convert it to one of {', '.join(IMAGE_SUFFIXES)}, or remove it."
        )


def read_image(path: str | Path, channels: int) -> np.ndarray:
    """Reads an image file; images of more than 8 bits are converted to 8 bits, except cut-outs (four channels).

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB, 4 for RGB and straight alpha.

    Returns:
        uint8 array, (H, W) for one channel, otherwise (H, W, channels).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, cannot be decoded, has more pixels than `pixel_limit`, or is a cut-out that
            is not 8-bit or has no alpha.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The image {path} does not exist.")
    # Through a buffer, since imread returns None both for a broken file and for a name that it cannot read.
    return decode_image(np.fromfile(path, np.uint8), path, channels)


def read_with_alpha(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads an image file, and its alpha if it is a PNG or WebP file of 8 bits that has one.

    Returns:
        (H, W, 3) uint8 RGB, and (H, W) uint8 alpha or None.

    Raises:
        FileNotFoundError, ValueError: As `read_image`.
    """
    if Path(path).suffix.lower() in _WITH_ALPHA:
        try:
            rgba = read_image(path, 4)
        except FaultyInputError as error:
            if error.reason not in _OPAQUE:
                raise
        else:
            return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return read_image(path, 3), None


def decode_image(encoded: np.ndarray, name: str | Path, channels: int) -> np.ndarray:
    """Decodes the bytes of an image file, as `read_image` does.

    Args:
        encoded: The bytes, uint8.
        name: Name of the image in error messages.
        channels: 1, 3 or 4.

    Raises:
        ValueError: As `read_image`.
    """
    import cv2

    check_pixels(encoded, name)
    image, content = None, encoded.tobytes()
    if content and not _is_cut_short(content):
        _check_header(content, name, channels)
        try:
            # Not IMREAD_GRAYSCALE, to which libpng would bring colours by their gamma.
            flags = cv2.IMREAD_UNCHANGED if channels == 4 else cv2.IMREAD_COLOR
            image = cv2.imdecode(without_metadata(encoded), flags)
        except cv2.error as error:
            text = f"The image {name} is refused by OpenCV ({error.err}): make it smaller."
            raise FaultyInputError("too large", text) from error
    if image is None:
        text = f"The image {name} ({encoded.size} bytes) cannot be decoded: replace or remove it."
        raise FaultyInputError("cannot be decoded", text)
    if channels == 4:
        # A TIFF file in CMYK has four channels too.
        if encoded[:4].tobytes() not in (b"\x89PNG", b"RIFF"):
            text = f"The cut-out {name} must be a PNG or WebP file with alpha (RGBA), but is another kind."
            raise FaultyInputError("not PNG or WebP", text)
        return _to_rgba(image, name)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB)


def read_mask(path: str | Path) -> np.ndarray:
    """Reads a saliency mask, (H, W) uint8 from 0 (background) to 255 (salient).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, or holds colours or numbers of labels; names it.
    """
    mask = read_image(path, channels=3)
    # Compared through two views: a difference of complete channels would be slower than decoding.
    if not (np.array_equal(mask[..., 0], mask[..., 1]) and np.array_equal(mask[..., 0], mask[..., 2])):
        text = (
            f"The mask {path} is in colour, but must be grey, 0 (background) to 255 (salient): write 255 where the "
            "salient object is."
        )
        raise FaultyInputError("mask in colour", text)
    if 0 < mask.max() <= MOST_LABELS:
        text = (
            f"The mask {path} holds values up to {mask.max()}, like the numbers of labels, but must hold 0 "
            "(background) to 255 (salient): write 255 where the salient object is."
        )
        raise FaultyInputError("mask of labels", text)
    return np.ascontiguousarray(mask[..., 0])


def image_size(path: str | Path) -> tuple[int, int]:
    """Reads height and width of an image as it is decoded, from its header if that says them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded; names it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"The image {path} does not exist.")
    header = read_header(path)
    # The header of AVIF files does not say here how they are turned.
    height, width = read_image(path, 3).shape[:2] if header is None or header.kind == "AVIF" else header.size
    return height, width


def check_image_size(found: tuple[int, int], annotated: tuple[int, int], path: str | Path) -> None:
    """Raises FaultyInputError unless an image has the size that its annotations are for.

    Args:
        found, annotated: Height and width of the image as it is read, and as the annotations say.
        path: The image.
    """
    if tuple(found) == tuple(annotated):
        return
    header = read_header(path)
    if header is not None and header.orientation != 1 and header.stored_size == tuple(annotated):
        remedy = "its EXIF orientation turns it: save it unturned and without that mark, or annotate it turned"
    else:
        remedy = "bring back the image that was annotated, or correct the annotations"
    text = (
        f"The image {path} must have the {annotated[0]} x {annotated[1]} pixels (height, width) that its annotations "
        f"are for, but has {found[0]} x {found[1]}: {remedy}."
    )
    raise FaultyInputError("image of another size", text)


def pixel_limit() -> int:
    """Returns the largest number of pixels of an image that is read: decoding allocates memory for all of them.

    A PNG file of 20,000 x 20,000 pixels of one colour has 1.6 MB, and takes 1.2 GB and half a minute to decode.

    Raises:
        ValueError: If ``SOS_MM_MAX_PIXELS`` is not a positive integer.
    """
    text = os.environ.get(MAX_PIXELS)
    if text is None:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"The environment variable {MAX_PIXELS} must be a positive integer, but is {text!r}.")
    return int(text)


def check_pixels(encoded: np.ndarray, name: str | Path) -> None:
    """Checks the number of pixels in the header of an image file, before it is decoded.

    Args:
        encoded: (N,) uint8, the bytes of the file.
        name: Name of the image in error messages.

    Raises:
        ValueError: If there are more than `pixel_limit`.
    """
    header, limit = read_header(encoded.tobytes()), pixel_limit()
    size = (0, 0) if header is None else header.stored_size
    if size[0] * size[1] > limit:
        raise FaultyInputError(
            "too large",
            f"The image {name} has {size[1]}x{size[0]} pixels, which is above the limit of {limit}: make it smaller, "
            f"or raise the limit with the environment variable {MAX_PIXELS}.",
        )


def _check_header(content: bytes, name: str | Path, channels: int) -> None:
    """Raises FaultyInputError if OpenCV would decode an image otherwise than its header says."""
    import cv2

    header = read_header(content)
    if header is None:
        return
    # OpenCV turns images as EXIF says, but no WebP files, and no images with alpha.
    if header.orientation != 1 and (header.kind == "WebP" or channels == 4):
        what = "a WebP file" if header.kind == "WebP" else "a cut-out"
        text = (
            f"The image {name} is {what} that its EXIF orientation turns, which is not done: save it turned, without."
        )
        raise FaultyInputError("turned by EXIF", text)
    if header.bits > 16:
        text = f"The image {name} must have 8 or 16 bits a channel, but has {header.bits}: save it with 8 bits."
        raise FaultyInputError("more than 16 bits", text)
    if header.bits == 16 and channels != 4:
        deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        largest = 0 if deep is None or deep.dtype != np.uint16 else int(deep.max())
        if 0 < largest < 256:
            text = (
                f"The image {name} has 16 bits a channel, but no value above {largest} of 65535, and would be read as "
                "black: save it with 8 bits."
            )
            raise FaultyInputError("16 bits of small values", text)


def without_metadata(encoded: np.ndarray) -> np.ndarray:
    """Leaves out of a PNG file what changes no pixel, such as colour profiles, of which libpng complains on stderr.

    OpenCV passes over colour profiles, gamma and text, unless it makes colours grey, but libpng checks them and prints
    warnings such as "iCCP: known incorrect sRGB profile" past Python. Errors about the pixels themselves stay.

    Args:
        encoded: (N,) uint8, the bytes of an image file of any kind.

    Returns:
        (M,) uint8; the same array if there is nothing to leave out, or the file is not a complete PNG.
    """
    if encoded[: len(_PNG)].tobytes() != _PNG:
        return encoded
    kept: list[np.ndarray] = []
    start, begin = 0, len(_PNG)
    while begin + 12 <= encoded.size:
        length, name = _CHUNK_HEAD.unpack_from(encoded.data, begin)
        if name == b"IEND":
            return np.concatenate([*kept, encoded[start:]]) if kept else encoded
        end = begin + 12 + length
        # Names of chunks that a decoder may pass over begin with a small letter.
        if name[0] > 0x60 and name not in _PNG_KEPT:
            kept.append(encoded[start:begin])
            start = end
        begin = end
    return encoded


def _is_cut_short(encoded: bytes) -> bool:
    """Returns whether a PNG or JPEG file is truncated, of which OpenCV decodes the existing part."""
    if encoded.startswith(b"\x89PNG"):
        return b"IEND" not in encoded
    if encoded.startswith(b"\xff\xd8"):
        # The end marker of a thumbnail in the header precedes the scan of the image itself.
        end = encoded.rfind(b"\xff\xd9")
        return end < 0 or encoded.find(b"\xff\xda", end) >= 0
    return False


def _to_rgba(image: np.ndarray, path: str | Path) -> np.ndarray:
    import cv2

    if image.dtype != np.uint8:
        text = f"The cut-out {path} must be 8-bit, but holds {image.dtype}: save it with 8 bits a channel."
        raise FaultyInputError("not 8-bit", text)
    if image.ndim != 3 or image.shape[2] != 4:
        shape = "x".join(map(str, image.shape))
        text = f"The cut-out {path} must have an alpha channel (RGBA), but its shape is {shape}: cut the object out."
        raise FaultyInputError("no alpha channel", text)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
