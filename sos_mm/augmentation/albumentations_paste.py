"""`SegmentPaste` as a transform of Albumentations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sos_mm.augmentation.adapters import check_holds
from sos_mm.augmentation.array_paste import PastedArrays, build_paste, check_classes, paste_arrays
from sos_mm.augmentation.label_mapper import class_names
from sos_mm.checks import check_boolean, check_integer, require

require("albumentations", "`SegmentPasteForAlbumentations`", "get it with `pip install albumentations==2.0.8`")

from albumentations import DualTransform  # noqa: E402

# What the library calls the keys of `SegmentPaste`.
_NAMES = {"gt_bboxes": "bboxes", "gt_masks": "masks", "gt_seg_map": "mask"}
# Its targets of films and volumes.
_NO_IMAGE = ("images", "volume", "volumes", "mask3d", "masks3d")


class SegmentPasteForAlbumentations(DualTransform):
    """Pastes objects into an image, as `SegmentPaste` does, within ``albumentations.Compose``.

    The image is RGB, uint8. Masks (one an object) lose the covered pixels, and boxes of objects with masks become tight
    again; objects with too small a visible part are dropped from both, and pasted ones are added at the end. If both
    masks and boxes are given, there must be as many of one as of the other. ``mask`` is a map of class indices.
    Keypoints stay, and those that a pasted object covers are marked as hidden in a label field of theirs. Additional
    targets, films and volumes are refused.

    Everything is drawn from one number of Albumentations' own generator, so that ``Compose(..., seed=...)`` sets the
    results. ``ReplayCompose`` replays the number: into another image it pastes what that image would have got.

    Args:
        bank: The bank of pasted objects: a dict for `sos_mm.build_bank`, such as ``dict(type='sample')``.
        classes: The classes in the order of their labels, as in `SegmentPaste`; needed with boxes or ``mask``.
        label_field: The label field of ``BboxParams`` that holds classes.
        label_names: Whether these are names; by default they are indices.
        visibility_field: The label field of ``KeypointParams`` that holds visibilities, as numbers.
        hidden: Visibility of covered keypoints. By default 1, which in COCO's annotations is "labelled, but not
            visible"; smaller values, such as COCO's 0 of keypoints that are not labelled, stay.
        options: Further options of `SegmentPaste`, such as ``dict(layout=..., effects=())``. Its ``prob`` is 1
            by default, since ``p`` decides.
        p: Probability that the transform is applied.

    Raises:
        ImportError: If Albumentations is missing; names the remedy.
        ValueError: If an option is wrong, and, when it is applied, if an annotation cannot be updated.

    Example:
        ``A.Compose([SegmentPasteForAlbumentations(dict(type='sample'), classes=['apple', 'mug'])], seed=0,
        bbox_params=A.BboxParams('pascal_voc', label_fields=['labels']))``
    """

    class InitSchema(DualTransform.InitSchema):
        """Types of the arguments, which Albumentations checks; their values are checked here."""

        bank: Any
        classes: Any
        label_field: str
        label_names: Any
        visibility_field: str
        hidden: Any
        options: Any

    def __init__(
        self,
        bank: Mapping[str, Any],
        classes: str | Sequence[str] | None = None,
        label_field: str = "labels",
        label_names: bool = False,
        visibility_field: str = "visibility",
        hidden: int = 1,
        options: Mapping[str, Any] | None = None,
        p: float = 0.5,
    ):
        super().__init__(p=p)
        check_boolean("label_names", label_names)
        check_integer("hidden", hidden, 0, 1)
        self.paste = build_paste(bank, classes, 0, options, prob=1.0)
        if label_names and self.paste.unknown == "append":
            raise ValueError("`label_names` must be False with `unknown='append'`, whose labels have no names.")
        self.bank, self.classes, self.options = bank, classes, options
        self.label_field, self.label_names = label_field, label_names
        self.visibility_field, self.hidden = visibility_field, hidden

    @property
    def targets(self) -> dict[str, Any]:
        """The methods of what can be updated."""
        return {
            "image": self.apply,
            "mask": self.apply_to_mask,
            "masks": self.apply_to_masks,
            "bboxes": self.apply_to_bboxes,
            "keypoints": self.apply_to_keypoints,
        }

    def get_params(self) -> dict[str, Any]:
        """Draws one number, so that what is drawn later does not depend on how much is drawn here."""
        return {"visit": int(self.random_generator.integers(2**31))}

    def apply_with_params(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Pastes objects into a sample by the number that was drawn, for this sample or, by `ReplayCompose`, another.

        Raises:
            ValueError: If an entry of the sample cannot be updated.
        """
        self._check(kwargs)
        pasted = self._paste(params["visit"], kwargs)
        made = {"pasted": pasted, "label_column": self._label_column(kwargs, pasted)}
        done = super().apply_with_params({**params, **made}, *args, **kwargs)
        masks = kwargs.get("masks")
        if masks is not None and not len(masks):  # The library leaves empty lists as they are.
            done["masks"] = self.apply_to_masks(masks, pasted)
        return done

    def _check(self, sample: Mapping[str, Any]) -> None:
        """Raises ValueError if entries of a sample cannot be updated, or classes or the image are missing."""
        for key, value in sample.items():
            if value is not None and key not in self.targets and (key in self._key2func or key in _NO_IMAGE):
                raise ValueError(
                    f"`{key}` cannot be updated by pasting, only {', '.join(self.targets)}: leave it out of the sample."
                )
        if sample.get("image") is None:
            raise ValueError(f"`image` must be in the sample, but it has only {', '.join(sample)}.")
        check_classes(self.paste, (key for key in ("bboxes", "mask") if sample.get(key) is not None))

    def _paste(self, visit: int, sample: Mapping[str, Any]) -> PastedArrays:
        image, (boxes, masks, label_map) = sample["image"], map(sample.get, ("bboxes", "masks", "mask"))
        height, width = image.shape[:2]
        if boxes is not None:
            boxes = _rows(boxes)[:, :4] * np.array([width, height, width, height], np.float32)
        if masks is not None:
            masks = _flat(np.asarray(masks), 3) if len(masks) else np.zeros((0, height, width), np.uint8)
        if label_map is not None:
            label_map = _flat(label_map, 2)
        return paste_arrays(self.paste, image, visit, boxes, masks, label_map, _NAMES)

    def _label_column(self, sample: Mapping[str, Any], pasted: PastedArrays) -> np.ndarray | None:
        """Encodes the labels of pasted objects as Albumentations does, (n, 1); None without boxes or pasted objects."""
        if sample.get("bboxes") is None or not pasted.number_pasted:
            return None
        processor = self.get_processor("bboxes")
        fields = list(processor.params.label_fields or ()) if processor else []
        if fields != [self.label_field]:
            raise ValueError(
                f"`label_fields` of `BboxParams` must be [{self.label_field!r}] (see `label_field`), since pasted "
                f"objects have no other labels, but are {fields}."
            )
        labels = pasted.labels[len(pasted.kept) :]
        if self.label_names:
            labels = np.array(class_names(self.classes or ()))[labels]
        manager, given = processor.label_manager, sample.get(self.label_field)
        known = manager.metadata["bboxes"].get(self.label_field)
        if known is not None:
            self._check_kind(known, labels)
        # Of images without objects the library has not seen the labels: it then remembers the type of these.
        is_array = known is not None or isinstance(given, np.ndarray)
        return manager.process_field("bboxes", self.label_field, labels if is_array else labels.tolist())

    def _check_kind(self, known: Any, labels: np.ndarray) -> None:
        """Checks that what the library remembers of the labels' type fits new labels, and makes room for names.

        Raises:
            ValueError: If it does not fit.
        """
        if known.is_numerical == self.label_names:
            raise ValueError(f"The labels in {self.label_field!r} must be numbers, or names with `label_names=True`.")
        if known.dtype is not None and self.label_names:
            # Arrays of names have room for their longest one, and would cut others.
            known.dtype = np.result_type(known.dtype, np.array(class_names(self.classes or ())))
        elif known.dtype is not None and known.dtype.kind in "iu":
            check_holds(self.label_field, known.dtype, np.iinfo(known.dtype).max, labels)

    def apply(self, img: np.ndarray, pasted: PastedArrays, **params: Any) -> np.ndarray:
        """Returns the new image."""
        return pasted.image

    def apply_to_mask(self, mask: np.ndarray, pasted: PastedArrays, **params: Any) -> np.ndarray:
        """Returns the new map of class indices."""
        new: Any = pasted.label_map
        return new.reshape(mask.shape)

    def apply_to_masks(self, masks: Any, pasted: PastedArrays, **params: Any) -> Any:
        """Returns the new masks, in a list if they were, and with a channel if they had one."""
        new: Any = pasted.masks
        if np.ndim(masks) == 4:
            new = new[..., None]
        return new if isinstance(masks, np.ndarray) else list(new)

    def apply_to_bboxes(
        self, bboxes: np.ndarray, pasted: PastedArrays, label_column: np.ndarray | None, **params: Any
    ) -> np.ndarray:
        """Returns the new boxes, (N, 4 + labels), as shares of width and height."""
        height, width = pasted.cover.shape
        boxes = pasted.boxes / np.array([width, height, width, height], np.float32)
        old = _rows(bboxes)[pasted.kept]
        if label_column is None:
            old[:, :4] = boxes
            return old
        labels = np.concatenate([old[:, 4:], label_column]) if len(old) else label_column
        return np.hstack([boxes, labels]).astype(np.float32)

    def apply_to_keypoints(self, keypoints: np.ndarray, pasted: PastedArrays, **params: Any) -> np.ndarray:
        """Returns the keypoints, (N, 5 + labels), with those that are covered marked."""
        processor = self.get_processor("keypoints")
        fields = list(processor.params.label_fields or ()) if processor else []
        if self.visibility_field not in fields:
            raise ValueError(
                f"`label_fields` of `KeypointParams` must have {self.visibility_field!r} (see `visibility_field`), in "
                f"which hidden keypoints are marked, but are {fields}."
            )
        if not len(keypoints):
            return keypoints
        keypoints = keypoints.copy()
        self._check_visibility(processor.label_manager.metadata["keypoints"].get(self.visibility_field))
        column = keypoints.shape[1] - len(fields) + fields.index(self.visibility_field)
        hidden = pasted.hides(keypoints[:, :2])
        keypoints[hidden, column] = np.minimum(keypoints[hidden, column], self.hidden)
        return keypoints

    def _check_visibility(self, known: Any) -> None:
        """Raises ValueError if visibilities, of whose type the library remembers this, cannot be lowered."""
        if known is not None and not known.is_numerical:
            raise ValueError(
                f"`{self.visibility_field}` must hold numbers, as COCO's 2 (visible), 1 (hidden) and 0 (not labelled), "
                "but holds other values."
            )


def _rows(boxes: Any) -> np.ndarray:
    """Copies boxes with their labels, (N, 4 + labels) float32; of an empty list the library makes an array (0,)."""
    return np.array(boxes, np.float32).reshape(len(boxes), -1 if len(boxes) else 4)


def _flat(masks: np.ndarray, dimensions: int) -> np.ndarray:
    """Removes the single channel of masks, which they may have."""
    return masks[..., 0] if masks.ndim == dimensions + 1 and masks.shape[-1] == 1 else masks
