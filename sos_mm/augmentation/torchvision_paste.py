"""`SegmentPaste` as a transform of torchvision (v2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sos_mm.augmentation.adapters import check_holds
from sos_mm.augmentation.array_paste import PastedArrays, build_paste, check_classes, paste_arrays
from sos_mm.checks import check_integer, require

require("torchvision.transforms.v2", "`SegmentPasteForTorchvision`", "get torchvision 0.16 or newer, for your torch")

from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

# What of a target is updated, with the form of each. Other tensors of torchvision's own types are refused.
_UPDATED: dict[str, tuple[str | int, ...]] = {
    "boxes": ("N", 4),
    "labels": ("N",),
    "masks": ("N", "H", "W"),
    "keypoints": ("N", "K", 3),
    "area": ("N",),
    "iscrowd": ("N",),
}
# What torchvision calls the keys of `SegmentPaste`.
_NAMES = {"gt_bboxes": "boxes", "gt_masks": "masks"}


class SegmentPasteForTorchvision(v2.Transform):
    """Pastes objects into an image, as `SegmentPaste` does, among torchvision's transforms (v2).

    A sample is an image and a target, as torchvision's detection models take it. The image is a uint8 tensor
    (3, H, W), RGB. Of the target are updated: ``boxes`` (a `tv_tensors.BoundingBoxes` in format XYXY), ``labels`` (N,),
    ``masks`` (N, H, W), ``keypoints`` (N, K, 3) of x, y and visibility, ``area`` and ``iscrowd`` (N,); other entries
    stay. Masks lose the covered pixels, and boxes of objects with masks become tight again; objects with too small a
    visible part are dropped, and pasted ones are added at the end. Covered keypoints are marked as hidden; pasted
    objects have none, with visibility 0.

    Everything is drawn from one number of torch's generator, as in torchvision's own transforms: `torch.manual_seed`,
    and in data workers the seed that the data loader gives them, set the results.

    Args:
        bank: The bank of pasted objects: a dict for `sos_mm.build_bank`, such as ``dict(type='sample')``.
        classes: The classes in the order of their labels, as in `SegmentPaste`; needed with boxes or masks.
        first_label: Label of the first class. torchvision's detection models take 0 as background: 1.
        hidden: Visibility of covered keypoints; smaller values stay. By default 1, which in COCO's annotations is
            "labelled, but not visible"; 0 leaves them out of the losses of torchvision's models.
        options: Further options of `SegmentPaste`, such as ``dict(prob=0.5, effects=())``.

    Raises:
        ImportError: If torchvision is missing or older than 0.16.
        ValueError: If an option is wrong.

    Example:
        ``v2.Compose([v2.ToImage(), SegmentPasteForTorchvision(dict(type='sample'), classes=['apple', 'mug']),
        v2.ToDtype(torch.float32, scale=True)])``
    """

    def __init__(
        self,
        bank: Mapping[str, Any],
        classes: str | Sequence[str] | None = None,
        first_label: int = 0,
        hidden: int = 1,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        check_integer("first_label", first_label, 0, 2**31)
        check_integer("hidden", hidden, 0, 1)
        self.paste = build_paste(bank, classes, 0, options)
        self.first_label, self.hidden = first_label, hidden

    def forward(self, image: torch.Tensor, target: Mapping[str, Any] | None = None) -> Any:
        """Pastes objects, or returns the sample unchanged.

        Args:
            image: (3, H, W) uint8.
            target: The annotations.

        Returns:
            The image, and the target if one was given.

        Raises:
            ValueError: If image or target has another form.
        """
        _check_image(image)
        if not isinstance(target, Mapping | None):
            raise ValueError(f"`target` must be a dict, as detection models take it, but got {type(target).__name__}.")
        visit = int(torch.randint(2**31, ()))
        given = dict(target or {})
        number = _number(given)
        check_classes(self.paste, {"labels"} & given.keys())
        boxes, masks = given.get("boxes"), given.get("masks")
        pasted = paste_arrays(
            self.paste,
            np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0)),
            visit,
            boxes=None if boxes is None else _plain(boxes),
            masks=None if masks is None else _plain(masks),
            names=_NAMES,
        )
        made = torch.from_numpy(np.ascontiguousarray(pasted.image.transpose(2, 0, 1))).to(image.device)
        new_image = tv_tensors.wrap(made, like=image) if isinstance(image, tv_tensors.TVTensor) else made
        if target is None:
            return new_image
        if number is None:
            return new_image, given
        return new_image, given | self._annotations(given, pasted)

    def _annotations(self, given: Mapping[str, Any], pasted: PastedArrays) -> dict[str, Any]:
        """Returns the updated entries of a target that it has."""
        kept, new = pasted.kept, pasted.number_pasted
        # What is computed anew for all objects, and what is added to the old values.
        values: dict[str, np.ndarray | None] = {"boxes": pasted.boxes, "masks": pasted.masks}
        if "labels" in given:
            kind, added = given["labels"].dtype, pasted.labels[len(kept) :] + self.first_label
            if not (kind.is_floating_point or kind == torch.bool):
                check_holds("labels", kind, torch.iinfo(kind).max, added)
            values["labels"] = np.concatenate([_plain(given["labels"])[kept], added])
        if "iscrowd" in given:
            values["iscrowd"] = np.concatenate([_plain(given["iscrowd"])[kept], np.zeros(new)])
        if "area" in given:
            values["area"] = _areas(pasted)
        if "keypoints" in given:
            values["keypoints"] = self._keypoints(_plain(given["keypoints"])[kept], pasted)
        return {key: _like(given[key], value) for key, value in values.items() if key in given and value is not None}

    def _keypoints(self, kept: np.ndarray, pasted: PastedArrays) -> np.ndarray:
        kept = kept.copy()
        hidden = pasted.hides(kept[..., :2])
        kept[hidden, 2] = np.minimum(kept[hidden, 2], self.hidden)
        return np.concatenate([kept, np.zeros((pasted.number_pasted, *kept.shape[1:]), kept.dtype)])


def _number(target: Mapping[str, Any]) -> int | None:
    """Returns the number of a target's objects, None if it has no boxes and masks, after checking its entries.

    Raises:
        ValueError: If entries have another form or length, or there are ones that pasting cannot update.
    """
    if "boxes" not in target and "masks" not in target:
        for key in _UPDATED:
            if key in target:
                raise ValueError(f"`target` must have boxes or masks where it has {key!r}, but has neither.")
        return None
    boxes_format = getattr(target.get("boxes"), "format", None)
    if boxes_format not in (None, tv_tensors.BoundingBoxFormat.XYXY):
        raise ValueError(f"`boxes` must be in format XYXY, but are {boxes_format}: put ConvertBoundingBoxFormat first.")
    for key, value in target.items():
        if key in _UPDATED:
            _check_form(key, value)
        elif isinstance(value, tv_tensors.TVTensor):
            raise ValueError(f"`{key}` cannot be updated by pasting, only {', '.join(_UPDATED)}: leave it out.")
    number = len(target["boxes"] if "boxes" in target else target["masks"])
    for key in _UPDATED:
        if key in target and len(target[key]) != number:
            raise ValueError(f"`{key}` must be {number}, one for each object, but is {len(target[key])}.")
    return number


def _check_image(image: Any) -> None:
    """Raises ValueError, with the remedy, if an image has another form."""
    if isinstance(image, torch.Tensor):
        if image.dtype == torch.uint8 and image.ndim == 3 and len(image) == 3:
            return
        got = f"{image.dtype} {tuple(image.shape)}"
        remedy = "make it one image of three channels, as by v2.RGB()"
        if image.dtype != torch.uint8:
            remedy = "paste before converting to another type"
    else:
        got = type(image).__name__
        remedy = "put v2.ToImage() before it"
        if isinstance(image, Mapping | list | tuple):
            remedy = "give image and target as two arguments"
    raise ValueError(f"`image` must be a uint8 tensor (3, H, W), but got {got}: {remedy}.")


def _check_form(key: str, value: Any) -> None:
    """Raises ValueError if an entry of a target that is updated has another form; empty tensors may have any."""
    if not isinstance(value, torch.Tensor):
        got = type(value).__name__
        raise ValueError(f"`{key}` must be a tensor, but got {got}: convert it by torch.as_tensor.")
    form, shape = _UPDATED[key], tuple(value.shape)
    fits = len(form) == len(shape) and all(want in (got, str(want)) for want, got in zip(form, shape, strict=True))
    if not fits and value.numel():
        raise ValueError(f"`{key}` must be ({', '.join(map(str, form))}), but got {shape}.")


def _areas(pasted: PastedArrays) -> np.ndarray:
    """Computes the areas of objects: of their masks, or of their boxes if there are no masks."""
    if pasted.masks is not None:
        return np.count_nonzero(pasted.masks, axis=(1, 2))
    x0, y0, x1, y1 = pasted.boxes.T
    return (x1 - x0) * (y1 - y0)


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _like(tensor: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    """Converts an array to a tensor of the type, dtype and device of another."""
    made = torch.from_numpy(np.ascontiguousarray(values)).to(tensor)
    return tv_tensors.wrap(made, like=tensor) if isinstance(tensor, tv_tensors.TVTensor) else made
