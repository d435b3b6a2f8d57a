"""`SegmentPaste` as a transform of Albumentations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sos_mm.augmentation.array_paste import PastedArrays, build_paste, paste_arrays
from sos_mm.augmentation.label_mapper import class_names
from sos_mm.checks import check_boolean, check_integer, require

require("albumentations", "`SegmentPasteForAlbumentations`", "get it with `pip install albumentations==2.0.8`")

from albumentations import DualTransform  # noqa: E402


class SegmentPasteForAlbumentations(DualTransform):
    """Pastes objects into an image, as `SegmentPaste` does, within ``albumentations.Compose``.

    The image is RGB, uint8. Masks (one an object) lose the covered pixels, and boxes of objects with masks become tight
    again; objects with too small a visible part are dropped from both, and pasted ones are added at the end. If both
    masks and boxes are given, there must be as many of one as of the other. ``mask`` is a map of class indices.
    Keypoints stay, and those that a pasted object covers are marked as hidden in a label field of theirs.

    Everything is drawn from one number of Albumentations' own generator, so that ``Compose(..., seed=...)`` sets the
    results.

    Args:
        bank: The bank of pasted objects: a dict for `sos_mm.build_bank`, such as ``dict(type='sample')``.
        classes: The classes in the order of their labels, as in `SegmentPaste`; needed with boxes or ``mask``.
        label_field: The label field of ``BboxParams`` that holds classes.
        label_names: Whether these are names; by default they are indices.
        visibility_field: The label field of ``KeypointParams`` that holds visibilities.
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
        if label_names and (options or {}).get("unknown") == "append":
            raise ValueError("`label_names` must be False with `unknown='append'`, whose labels have no names.")
        self.paste = build_paste(bank, classes, 0, {"prob": 1.0, **(options or {})})
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

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Pastes objects into the sample."""
        image, boxes, masks = data["image"], data.get("bboxes"), data.get("masks")
        # One number, so that what is drawn later does not depend on how much was drawn here.
        visit = int(self.random_generator.integers(2**31))
        if boxes is not None:
            height, width = image.shape[:2]
            boxes = np.asarray(boxes, np.float32)[:, :4] * np.array([width, height, width, height], np.float32)
        if masks is not None:
            masks = np.asarray(masks).reshape(-1, *image.shape[:2])
        pasted = paste_arrays(self.paste, image, visit, boxes, None, masks, data.get("mask"))
        return {"pasted": pasted, "label_column": self._label_column(data, pasted)}

    def _label_column(self, data: dict[str, Any], pasted: PastedArrays) -> np.ndarray | None:
        """Encodes the labels of pasted objects as Albumentations does, (n, 1); None without boxes or labels."""
        if data.get("bboxes") is None or not pasted.number_pasted:
            return None
        processor = self.get_processor("bboxes")
        fields = list(processor.params.label_fields or ()) if processor else []
        if fields != [self.label_field]:
            raise ValueError(
                f"`label_fields` of `BboxParams` must be [{self.label_field!r}] (see `label_field`), since pasted "
                f"objects have no other labels, but are {fields}."
            )
        labels: list[Any] = pasted.labels[len(pasted.kept) :].tolist()
        if self.label_names:
            names = class_names(self.classes or ())
            labels = [names[label] for label in labels]
        try:
            return processor.label_manager.process_field("bboxes", self.label_field, labels)
        except ValueError as error:
            raise ValueError(
                f"The labels in {self.label_field!r} must be numbers, or names with `label_names=True`: {error}."
            ) from error

    def apply(self, img: np.ndarray, pasted: PastedArrays, **params: Any) -> np.ndarray:
        """Returns the new image."""
        return pasted.image

    def apply_to_mask(self, mask: np.ndarray, pasted: PastedArrays, **params: Any) -> np.ndarray | None:
        """Returns the new map of class indices."""
        return pasted.label_map

    def apply_to_masks(self, masks: Any, pasted: PastedArrays, **params: Any) -> Any:
        """Returns the new masks, in a list if they were."""
        return pasted.masks if isinstance(masks, np.ndarray) or pasted.masks is None else list(pasted.masks)

    def apply_to_bboxes(
        self, bboxes: np.ndarray, pasted: PastedArrays, label_column: np.ndarray | None, **params: Any
    ) -> np.ndarray:
        """Returns the new boxes, (N, 4 + labels), as shares of width and height."""
        height, width = pasted.cover.shape
        boxes = pasted.boxes / np.array([width, height, width, height], np.float32)
        old = np.asarray(bboxes, np.float32)[pasted.kept]
        if label_column is None:
            old[:, :4] = boxes
            return old
        labels = np.concatenate([old[:, 4:].reshape(len(old), -1), label_column]) if len(old) else label_column
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
        column = keypoints.shape[1] - len(fields) + fields.index(self.visibility_field)
        hidden = pasted.hides(keypoints[:, :2])
        keypoints[hidden, column] = np.minimum(keypoints[hidden, column], self.hidden)
        return keypoints
