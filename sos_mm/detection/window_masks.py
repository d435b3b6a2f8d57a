"""Bitmap masks of which only the windows with pixels are kept."""

import operator
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks


class WindowMasks(BitmapMasks):
    """Holds what mmdet's `BitmapMasks` holds, as windows outside which each mask is 0.

    Masks of objects are mostly empty: twenty of a 1024x1024 image are 20 MB, their windows less than 1 MB, which is
    what goes from a data worker to the training process, and from there to a GPU. What is done with windows is chosen
    by what pipelines and models do: counting, choosing, scaling, moving by whole pixels, mirroring, cropping, padding
    with 0, boxes and tensors. All else, and ``masks`` itself, draws the whole masks once, and these are kept instead of
    the windows. Every result equals that of `BitmapMasks`; but scaling, moving, mirroring and padding with 0 keep all
    dtypes, of which OpenCV knows some only.

    Args:
        masks: As in `BitmapMasks`: whole masks, (N, H, W).
        height: H.
        width: W.
    """

    height: int
    width: int

    def __init__(self, masks: Any, height: int, width: int):
        self._windows: np.ndarray | None = None
        self._parts: list[np.ndarray] = []
        super().__init__(masks, height, width)

    @classmethod
    def from_windows(cls, windows: np.ndarray, parts: Sequence[np.ndarray], height: int, width: int) -> "WindowMasks":
        """Builds masks from their windows.

        Args:
            windows: (N, 4) integers, half-open xyxy boxes in the image.
            parts: The masks in the windows, N arrays (h, w) of one dtype; they are not copied.
            height: Height of the image.
            width: Width of the image.

        Raises:
            ValueError: If a window is not in the image, or its part has another size or dtype.
        """
        height, width = operator.index(height), operator.index(width)
        windows = np.asarray(windows, np.int64).reshape(-1, 4)
        if len(dtypes := {part.dtype for part in parts}) > 1:
            raise ValueError(f"Masks must be of one dtype, but got {' and '.join(sorted(map(str, dtypes)))}.")
        for (x0, y0, x1, y1), part in zip(windows.tolist(), parts, strict=True):
            if not (0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height and part.shape == (y1 - y0, x1 - x0)):
                raise ValueError(
                    f"A mask of {part.shape} must fill its window in an image of {(height, width)}, but the window is "
                    f"{(x0, y0, x1, y1)}."
                )
        masks = cls.__new__(cls)
        masks.height, masks.width = height, width
        masks._windows, masks._parts = windows, list(parts)
        return masks

    @property
    def windows(self) -> tuple[np.ndarray, list[np.ndarray]] | None:
        """The windows, (N, 4) int64 half-open xyxy boxes, and the N masks (h, w) in them, not to be changed; None once
        whole masks have been drawn.
        """
        return None if self._windows is None else (self._windows, self._parts)

    @property
    def masks(self) -> np.ndarray:
        """The whole masks, (N, H, W). They are drawn once, and may be changed in place."""
        if self._windows is not None:
            whole = np.zeros((len(self), self.height, self.width), self._dtype)
            for mask, (x0, y0, x1, y1), part in zip(whole, self._windows.tolist(), self._parts, strict=True):
                mask[y0:y1, x0:x1] = part
            self.masks = whole
        return self._whole

    @masks.setter
    def masks(self, whole: np.ndarray) -> None:
        self._whole, self._windows, self._parts = whole, None, []

    @property
    def _dtype(self) -> np.dtype:
        return self._parts[0].dtype if self._parts else np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self._whole if self._windows is None else self._parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_masks={len(self)}, height={self.height}, width={self.width})"

    def __getitem__(self, index: Any) -> BitmapMasks:
        """Returns the masks of an index: an integer, a slice, or an array of integers or of bool."""
        # What has several axes may choose rows or pixels.
        if self._windows is None or isinstance(index, tuple) or np.ndim(index) > 1:
            return super().__getitem__(index)
        chosen = np.arange(len(self))[index].reshape(-1)
        return self._like(self._windows[chosen], [self._parts[each] for each in chosen])

    def flip(self, flip_direction: str = "horizontal") -> BitmapMasks:
        """Mirrors the masks. See `BitmapMasks.flip`."""
        if self._windows is None or flip_direction not in ("horizontal", "vertical", "diagonal"):
            return super().flip(flip_direction)
        windows, parts = self._windows.copy(), self._parts
        if flip_direction != "vertical":
            windows[:, [0, 2]] = self.width - windows[:, [2, 0]]
            parts = [part[:, ::-1] for part in parts]
        if flip_direction != "horizontal":
            windows[:, [1, 3]] = self.height - windows[:, [3, 1]]
            parts = [part[::-1] for part in parts]
        return self._like(windows, parts)

    def crop(self, bbox: np.ndarray) -> BitmapMasks:
        """Crops the masks to an xyxy box of integers. See `BitmapMasks.crop`."""
        known = isinstance(bbox, np.ndarray) and bbox.shape == (4,) and bbox.dtype.kind == "i"
        if self._windows is None or not known:
            return super().crop(bbox)
        size = np.array([self.width, self.height])
        first = np.clip(bbox[:2], 0, size)
        past = first + np.maximum(np.clip(bbox[2:], 0, size) - first, 1)
        if (past > size).any():
            return super().crop(bbox)
        windows, parts = self._inside(self._windows, first, past)
        return self._like(windows - np.tile(first, 2), parts, *(past - first)[::-1].tolist())

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> BitmapMasks:
        """Places the masks in larger images. See `BitmapMasks.expand`."""
        fits = 0 <= top <= expanded_h - self.height and 0 <= left <= expanded_w - self.width
        if self._windows is None or not fits or self._dtype != np.uint8:
            return super().expand(expanded_h, expanded_w, top, left)
        return self._like(self._windows + np.array([left, top, left, top]), self._parts, expanded_h, expanded_w)

    def translate(
        self,
        out_shape: tuple[int, int],
        offset: Any,
        direction: str = "horizontal",
        border_value: float = 0,
        interpolation: str = "bilinear",
    ) -> BitmapMasks:
        """Moves the masks in images of a height and width. See `BitmapMasks.translate`."""
        both = {"horizontal": (offset, 0), "vertical": (0, offset), "both": offset}.get(direction)
        exact = isinstance(both, tuple) and len(both) == 2 and all(isinstance(each, Integral) for each in both)
        plain = border_value == 0 and interpolation in ("nearest", "bilinear")
        if self._windows is None or not exact or not plain:
            return super().translate(out_shape, offset, direction, border_value, interpolation)
        moved, new = np.array(both), np.array(out_shape[::-1])
        # As there: what does not fit into the new images is cut off before it is moved, too.
        past = np.minimum(np.minimum((self.width, self.height), new), new - moved)
        first = np.minimum(np.maximum(-moved, 0), past)
        windows, parts = self._inside(self._windows, first, np.maximum(past, first))
        windows = (windows.reshape(-1, 2, 2) + moved).clip(0, new).reshape(-1, 4)
        return self._like(windows, parts, *out_shape)

    def _inside(self, windows: np.ndarray, first: np.ndarray, past: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Cuts the windows at a box from (x, y) to before (x, y); those beside it become empty ones at its edges."""
        corners = windows.reshape(-1, 2, 2).clip(first, past)
        cuts = (corners - windows[:, None, :2]).tolist()
        parts = [part[y0:y1, x0:x1] for part, ((x0, y0), (x1, y1)) in zip(self._parts, cuts, strict=True)]
        return corners.reshape(-1, 4), parts

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Pads the masks at the right and at the bottom. See `BitmapMasks.pad`."""
        if self._windows is None or pad_val != 0 or out_shape[0] < self.height or out_shape[1] < self.width:
            return super().pad(out_shape, pad_val)
        return self._like(self._windows, self._parts, *out_shape)

    def rescale(self, scale: float | tuple[int, int], interpolation: str = "nearest") -> BitmapMasks:
        """Scales the masks, with their aspect ratio kept. See `BitmapMasks.rescale`."""
        if self._windows is None or interpolation != "nearest":
            return super().rescale(scale, interpolation)
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width))

    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> BitmapMasks:
        """Scales the masks to a height and width. See `BitmapMasks.resize`."""
        if self._windows is None or interpolation != "nearest":
            return super().resize(out_shape, interpolation)
        if not self._parts:
            return self._like(self._windows, [], *out_shape)
        # The row, and the column, that is the nearest of each new one.
        rows, columns = (
            mmcv.imresize(np.arange(old, dtype=np.int32)[None], (new, 1), interpolation=interpolation)[0]
            for old, new in zip((self.height, self.width), out_shape, strict=True)
        )
        windows, parts = np.empty_like(self._windows), []
        windows[:, [0, 2]] = np.searchsorted(columns, self._windows[:, [0, 2]])
        windows[:, [1, 3]] = np.searchsorted(rows, self._windows[:, [1, 3]])
        for part, old, (x0, y0, x1, y1) in zip(self._parts, self._windows, windows, strict=True):
            parts.append(part.take(rows[y0:y1] - old[1], axis=0).take(columns[x0:x1] - old[0], axis=1))
        return self._like(windows, parts, *out_shape)

    @property
    def areas(self) -> np.ndarray:
        """Sums of the masks, (N,). See `BitmapMasks.areas`."""
        # The sums of floats depend on their order.
        if self._windows is None or self._dtype.kind not in "bui":
            return super().areas
        return np.array([part.sum() for part in self._parts], np.zeros(0, self._dtype).sum().dtype)

    def get_bboxes(self, dst_type: str | type = "hbb") -> Any:
        """Computes the tight boxes of the masks. See `BitmapMasks.get_bboxes`."""
        if self._windows is None or get_box_type(dst_type)[1] is not HorizontalBoxes:
            return super().get_bboxes(dst_type)
        boxes = np.zeros((len(self), 4), np.float32)
        for box, window, part in zip(boxes, self._windows, self._parts, strict=True):
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            if len(rows):
                box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
                box += np.tile(window[:2], 2)
        return HorizontalBoxes(boxes)

    def to_tensor(self, dtype: torch.dtype, device: Any) -> torch.Tensor:
        """Returns the masks as a tensor, (N, H, W)."""
        if self._windows is None or dtype is None:
            return super().to_tensor(dtype, device)
        masks = torch.zeros((len(self), self.height, self.width), dtype=dtype, device=device)
        for mask, (x0, y0, x1, y1), part in zip(masks, self._windows.tolist(), self._parts, strict=True):
            # Of other arrays torch warns, or makes no tensor.
            mask[y0:y1, x0:x1] = torch.from_numpy(np.require(part, requirements=("C", "W")))
        return masks

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """Joins masks, in windows or whole, of one size. See `BitmapMasks.cat`."""
        in_windows = isinstance(masks, Sequence) and all(
            isinstance(each, cls) and each._windows is not None for each in masks
        )
        if not in_windows or len({(each.height, each.width, each._dtype) for each in masks}) != 1:
            return BitmapMasks.cat(masks)
        parts = [part for each in masks for part in each._parts]
        return masks[0]._like(np.concatenate([each._windows for each in masks]), parts)

    def _like(
        self, windows: np.ndarray, parts: list[np.ndarray], height: int | None = None, width: int | None = None
    ) -> "WindowMasks":
        """Returns masks of other windows, by default in an image of the same size."""
        height, width = self.height if height is None else height, self.width if width is None else width
        return self.from_windows(windows, parts, height, width)
