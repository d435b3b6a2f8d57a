"""Image transforms that are skipped if they could make a text of the sample false."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS

from sos_mm.checks import check_choice
from sos_mm.segments.words import ENDANGERED, IMAGE_OPERATIONS, kinds_in

# Kinds of words that are ignored in class names.
_NOT_OF_CLASSES = frozenset({"text", "position"})


@TRANSFORMS.register_module()
class WordSafeTransform(BaseTransform):
    """Applies a transform only to samples whose texts it cannot falsify.

    A mirrored image shows "the cup on the left" on the right, a rotated one shows "a vertical pole" tilted, and a crop
    may contain only one of "two dogs". `sos_mm.segments.words.ENDANGERED` lists the kinds of words that each operation
    endangers.

    Captions are checked completely: strings, lists of strings, and ODVG's ``phrases``. In a label map, which names the
    classes of detection data by label, only the classes of the sample's own boxes are checked, and not for words of
    text or position: a "stop sign" stays one in a mirror and a "side table" in a crop, but a mirrored "left shoe" does
    not.
    Put it before `RandomSamplingNegPos`, which joins positive and negative phrases to one string.

    Required Keys:

    - those of the inner transform
    - text (str, list or dict), phrases (dict), each optional
    - gt_bboxes_labels (np.ndarray), optional: selects the classes of a label map

    Modified Keys:

    - those of the inner transform; none where words are endangered and there is no ``otherwise``

    Args:
        transform: A transform's config, or a list of them; built in the scope of the config, so that ``RandomFlip``
            is mmdet's in a config of mmdet.
        operation: The operations of the transform: 'mirror', 'vertical_flip', 'rotate', 'crop', 'color' or 'blur', or a
            list of them.
        otherwise: Config of the transform for samples whose texts are endangered, such as the resizing that a crop
            includes. None returns them unchanged.
        keys: Keys of the texts.

    Raises:
        ValueError: If an operation is not one of these.

    Example:
        ``dict(type='WordSafeTransform', transform=dict(type='RandomFlip', prob=0.5), operation='mirror')``
    """

    def __init__(
        self,
        transform: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        operation: str | Sequence[str],
        otherwise: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
        keys: Sequence[str] = ("text", "phrases"),
    ):
        self.operations = (operation,) if isinstance(operation, str) else tuple(operation)
        for each in self.operations:
            check_choice("operation", each, IMAGE_OPERATIONS)
        self.endangered = frozenset().union(*(ENDANGERED[each] for each in self.operations))
        self.keys = tuple(keys)
        # `VisitHook` finds nested transforms under this name.
        self.transforms = [_build(transform), _build(otherwise)]

    def transform(self, results: dict) -> dict | None:
        """Applies the transform, or ``otherwise``; returns None if that returns None."""
        return self.transforms[self.is_endangered(results)](results)

    def is_endangered(self, results: Mapping[str, Any]) -> bool:
        """Returns whether the transform may falsify a text of this sample."""
        said: list[str] = []
        classes: list[str] = []
        for key in self.keys:
            collect_words(results.get(key), said, classes, _labels(results))
        return bool(self.endangered & (kinds_in(tuple(said)) | kinds_in(tuple(classes)) - _NOT_OF_CLASSES))

    def __repr__(self) -> str:
        inner, otherwise = self.transforms
        return f"{type(self).__name__}({inner}, operation={self.operations}, otherwise={otherwise})"


def _build(config: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
    return TRANSFORMS.build(config) if isinstance(config, Mapping) else Compose(list(config))


def collect_words(value: Any, said: list[str], classes: list[str], labels: Collection[str] | None = None) -> None:
    """Adds the texts of a sample to two lists: sentences and phrases, and names of its classes.

    Args:
        value: A string, a list of words, ODVG's ``phrases``, or a map from labels to classes.
        said: List to which sentences and phrases are added.
        classes: List to which the classes of a label map are added.
        labels: The labels of the sample, as strings; None for all labels of the map.
    """
    if isinstance(value, str):
        said.append(value)
    elif isinstance(value, list | tuple):
        for each in value:
            collect_words(each, said, classes, labels)
    elif isinstance(value, Mapping) and isinstance(next(iter(value.values()), None), Mapping):
        for each in value.values():
            collect_words(each["phrase"], said, classes, labels)
    elif isinstance(value, Mapping):
        # A map may name tens of thousands of classes, so only the sample's labels are looked up.
        classes += value.values() if labels is None else [value[label] for label in labels if label in value]


def _labels(results: Mapping[str, Any]) -> set[str] | None:
    labels = results.get("gt_bboxes_labels")
    return None if labels is None else {str(int(label)) for label in labels}
