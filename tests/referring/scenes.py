"""Images to speak of: composed ones, and ones made by hand."""

from functools import cache

import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.from_scene import annotated
from sos_mm.synthesis import Recipe, SceneMaker

STRUCTURED = {"type": "StructuredLayout", "counts": (3, 14), "crowded": "fewer"}
RECIPES = {
    "several categories": {"layout": STRUCTURED, "sampling": "category"},
    "single category": {"layout": STRUCTURED, "sampling": "single_category"},
    "depth": {"layout": {"type": "DepthLayout", "counts": (3, 14), "crowded": "fewer"}, "sampling": "category"},
}
PAINT = {
    "red": (210, 20, 20), "green": (30, 170, 40), "blue": (20, 50, 220), "yellow": (240, 225, 30),
    "black": (15, 15, 15), "white": (250, 250, 250), "purple": (145, 35, 215), "brown": (110, 65, 25),
}  # fmt: skip


@cache
def maker(kind: str) -> SceneMaker:
    recipe = Recipe(
        canvas=(320, 320), backgrounds={"type": "gradient"}, group="all", effects="default", **RECIPES[kind]
    )
    return SceneMaker(recipe, seed=3)


def composed(kind: str, index: int) -> AnnotatedImage:
    made = maker(kind)
    return annotated(made.make(index), {"object", *made.bank.categories})


def drawn(things, size=(400, 300), complete=("object",), ignored=(), **more) -> AnnotatedImage:
    """An image of plain boxes.

    Args:
        things: (category, xyxy box, color or '', attributes) each; a color paints the box and gives it a mask.
    """
    width, height = size
    image = np.full((height, width, 3), 128, np.uint8)
    instances = []
    for index, (category, box, color, *rest) in enumerate(things):
        x0, y0, x1, y1 = box
        mask = None
        if color:
            image[y0:y1, x0:x1] = PAINT[color]
            mask = np.ones((y1 - y0, x1 - x0), bool)
        extra = rest[1] if len(rest) > 1 else {}
        attributes = tuple(rest[0]) if rest else ()
        box = tuple(map(float, box))
        instances.append(Instance(index, category, box, mask, (x0, y0), attributes=attributes, **extra))
    regions = tuple(Instance(index, category, box) for index, (category, box) in enumerate(ignored))
    return AnnotatedImage(width, height, tuple(instances), regions, frozenset(complete), image, **more)
