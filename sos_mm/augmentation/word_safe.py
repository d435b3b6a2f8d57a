"""Image transforms that leave an image alone where its words would become false."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS

from sos_mm.checks import check_choice
from sos_mm.segments.words import ENDANGERED, IMAGE_OPERATIONS, kinds_in

# Kinds of words that say something of an image, but not in the name of a class.
_NOT_OF_CLASSES = frozenset({"text", "position"})


@TRANSFORMS.register_module()
class WordSafeTransform(BaseTransform):
    """Applies a transform, but not to a sample whose words it may falsify.

    A mirrored image shows "the cup on the left" on the right, a turned one no longer "a vertical pole", and a crop of
    it may hold one of "two dogs". Which operation endangers which words says
    `sos_mm.segments.words.ENDANGERED`.

    Captions are looked at as a whole: strings, lists of them, and ODVG's ``phrases``. Of a label map, which names the
    classes of detection data by label, only the classes of the sample's own boxes are, and not for words of text or
    position: a "stop sign" is one in any mirror and a "side table" in any crop, but a "left shoe" in a mirror is not.
    Put it before `RandomSamplingNegPos`, which makes one string of words that are there and words that are not.

    Required Keys:

    - those of the inner transform
    - text (str, list or dict), phrases (dict), each optional
    - gt_bboxes_labels (np.ndarray), optional: which classes of a label map are there

    Modified Keys:

    - those of the inner transform; none where words are endangered and there is no ``otherwise``

    Args:
        transform: A transform's config, or a list of them; built in the scope of the config, so that ``RandomFlip``
            is mmdet's in a config of mmdet.
        operation: What it does: 'mirror', 'vertical_flip', 'rotate', 'crop', 'color' or 'blur', or a list of them.
        otherwise: The same as ``transform``, for samples whose words it endangers, such as the resizing that a crop
            includes. None hands them on as they are.
        keys: Where words are.

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
        # Under this name `VisitHook` finds what draws.
        self.transforms = [_build(transform), _build(otherwise)]

    def transform(self, results: dict) -> dict | None:
        """Applies the transform, or what is done otherwise; None where that gives None."""
        return self.transforms[self.is_endangered(results)](results)

    def is_endangered(self, results: Mapping[str, Any]) -> bool:
        """Whether the transform may falsify a word of this sample."""
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
    """Adds the words of a sample to two lists: what is said of the image, and names of classes that are in it.

    Args:
        value: A string, a list of words, ODVG's ``phrases``, or a map from labels to classes.
        said: Gets the sentences and phrases.
        classes: Gets the classes of a label map.
        labels: The labels of the sample, as strings; None for all of the map.
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
        # Of the tens of thousands that a map may name, only those that are there are looked up.
        classes += value.values() if labels is None else [value[label] for label in labels if label in value]


def _labels(results: Mapping[str, Any]) -> set[str] | None:
    labels = results.get("gt_bboxes_labels")
    return None if labels is None else {str(int(label)) for label in labels}
