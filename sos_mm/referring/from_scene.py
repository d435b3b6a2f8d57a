"""From a composed scene to the input of referring."""

from collections.abc import Iterable

from sos_mm.composition.scene import Scene
from sos_mm.referring.annotated_image import AnnotatedImage, Instance

# Up to this share outside the image an object counts as whole.
_CUT_OFF = 0.02


def annotated(scene: Scene, complete: Iterable[str] = (), file_name: str = "", image_id=None) -> AnnotatedImage:
    """A composed scene as an annotated image, its instances in the order of ``scene.objects``.

    Words of the objects are true of the finished image, as `compose` leaves them; colours are measured in the image.

    Args:
        scene: The scene.
        complete: Categories of which the background shows nothing unlabelled, such as all of the bank's vocabulary
            where backgrounds are plain; 'object' stands for everything.
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
    x0, y0, x1, y1 = each.box
    return Instance(
        id=index,
        category=each.category,
        box=_floats(each.box),
        mask=scene.owner[y0:y1, x0:x1] == index + 1,
        offset=(x0, y0),
        phrase=each.phrase,
        attributes=each.attributes,
        z_order=each.z_order,
        depth=each.placement.depth,
        visible_share=each.visible_share,
        truncated=each.truncation > _CUT_OFF,
    )


def _floats(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return float(x0), float(y0), float(x1), float(y1)
