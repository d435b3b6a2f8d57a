"""Converts a composed scene to an annotated image, the input of `sos_mm.referring`."""

from collections.abc import Iterable

from sos_mm.composition.scene import Scene
from sos_mm.referring.annotated_image import AnnotatedImage, Instance

# Largest share outside the image of an object that does not count as truncated.
_CUT_OFF = 0.02


def annotated(scene: Scene, complete: Iterable[str] = (), file_name: str = "", image_id=None) -> AnnotatedImage:
    """Converts a composed scene to an annotated image with instances in the order of ``scene.objects``.

    Phrases and attributes of the objects are true of the final image, since `compose` drops others; colours are
    measured in the image.

    Args:
        scene: The scene.
        complete: Categories of which the background shows no unlabelled object, such as the bank's complete vocabulary
            if backgrounds are plain; 'object' stands for all categories.
        file_name: The image's file.
        image_id: The image's id.
    """
    height, width = scene.size
    instances = tuple(_instance(scene, index) for index in range(len(scene.objects)))
    ignored = tuple(
        Instance(region.segment_id, region.category, _floats(region.box), region.mask, region.box[:2])
        for region in scene.ignored
    )
    return AnnotatedImage(
        width, height, instances, ignored, frozenset(complete), scene.image, file_name=file_name, image_id=image_id
    )


def _instance(scene: Scene, index: int) -> Instance:
    each = scene.objects[index]
    return Instance(
        id=index,
        category=each.category,
        box=_floats(each.box),
        mask=each.mask,
        offset=each.box[:2],
        phrase=each.phrase,
        attributes=each.attributes,
        z_order=each.z_order,
        depth=each.placement.depth,
        visible_share=each.visible_share,
        truncated=each.cut_off or each.truncation > _CUT_OFF,
    )


def _floats(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return float(x0), float(y0), float(x1), float(y1)
