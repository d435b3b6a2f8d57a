"""The sides on which an object is cut off by the border of its image."""

from enum import IntFlag

# Distances below it count as none, in pixels.
_CLOSE = 1.0


class Sides(IntFlag):
    """A set of sides of an image or a box."""

    NONE = 0
    LEFT = 1
    TOP = 2
    RIGHT = 4
    BOTTOM = 8
    ALL = 15


def sides_at_border(box: tuple[float, float, float, float], size: tuple[int, int]) -> Sides:
    """Returns the sides on which a box comes within a pixel of the border of its image.

    Args:
        box: x, y, width and height in pixels.
        size: Height and width of the image in pixels.
    """
    x, y, width, height = box
    found = Sides.NONE
    for side, distance in (
        (Sides.LEFT, x),
        (Sides.TOP, y),
        (Sides.RIGHT, size[1] - x - width),
        (Sides.BOTTOM, size[0] - y - height),
    ):
        if distance < _CLOSE:
            found |= side
    return found
