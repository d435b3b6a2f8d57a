"""The sides on which an object touches the border of its image."""

import numpy as np
import pytest

from sos_mm.segments.segment import Segment
from sos_mm.segments.sides import Sides, sides_at_border


def test_sides_of_small_images_are_those_where_less_than_a_pixel_is_left():
    assert sides_at_border((40, 30, 20, 30), (100, 160)) == Sides.NONE
    assert sides_at_border((0, 30, 30, 20), (100, 160)) == Sides.LEFT
    assert sides_at_border((60, 0, 20, 40), (100, 160)) == Sides.TOP
    assert sides_at_border((130, 10, 30, 30), (100, 160)) == Sides.RIGHT
    assert sides_at_border((90, 60, 20, 40), (100, 160)) == Sides.BOTTOM
    assert sides_at_border((0.9, 1.0, 10, 10), (100, 160)) == Sides.LEFT
    assert sides_at_border((100, 50, 59.0, 49.1), (100, 160)) == Sides.BOTTOM
    assert sides_at_border((0, 0, 160, 100), (100, 160)) == Sides.ALL


def test_outlines_of_large_images_may_end_two_pixels_before_the_border():
    """As those of COCO's photographs do, of 640 pixels: of 40 objects at such a distance nearly all are cut off."""
    assert sides_at_border((2.8, 3.0, 100, 100), (480, 640)) == Sides.LEFT
    assert sides_at_border((100, 100, 537.2, 377), (480, 640)) == Sides.RIGHT
    assert sides_at_border((3, 3, 634, 474), (480, 640)) == Sides.NONE
    # Of small images a pixel stays the limit.
    assert sides_at_border((1, 1, 126, 126), (128, 128)) == Sides.NONE


@pytest.mark.parametrize("sides", [-1, 16, True, 1.0, "left"])
def test_other_values_are_refused(sides):
    with pytest.raises(ValueError, match="`cut_sides` must be"):
        Segment(np.full((2, 2, 4), 255, np.uint8), "person", cut_sides=sides)
