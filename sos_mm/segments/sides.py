"""The sides on which an object is cut off by the border of its image."""

from enum import IntFlag

# Distances below these count as none: in pixels, and as a share of the image's longer side (2.9 of 640 pixels).
# Outlines are drawn by hand, and often end a pixel or two before the border.
_CLOSE, _CLOSE_SHARE = 1.0, 0.0045


class Sides(IntFlag):
    """A set of sides of an image or a box."""

    NONE = 0
    LEFT = 1
    TOP = 2
    RIGHT = 4
    BOTTOM = 8
    ALL = 15


def sides_at_border(box: tuple[float, float, float, float], size: tuple[int, int]) -> Sides:
    """Returns the sides on which a box reaches the border of its image, but for what hand-drawn outlines leave out.

    That is a pixel, or 0.45 % of the image's longer side if that is more.

    Args:
        box: x, y, width and height in pixels.
        size: Height and width of the image in pixels.
    """
    x, y, width, height = box
    found, close = Sides.NONE, max(_CLOSE, _CLOSE_SHARE * max(size))
    for side, distance in (
        (Sides.LEFT, x),
        (Sides.TOP, y),
        (Sides.RIGHT, size[1] - x - width),
        (Sides.BOTTOM, size[0] - y - height),
    ):
        if distance < close:
            found |= side
    return found
