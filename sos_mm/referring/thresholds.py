"""Thresholds of facts: one for 'surely', one for 'surely not'; a fact between them is undecidable."""

from dataclasses import dataclass, fields

from sos_mm.checks import check_integer, check_range


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of facts. Lengths are fractions of the image's width or height, unless stated otherwise.

    Attributes:
        side: An object is on the left if its centre is at most this far from the left edge, ...
        side_reach: ... and its box reaches no farther than this; so with the other sides.
        not_side: It is not on the left if its centre is at least this far from the left edge.
        middle: It is in the middle if its centre is at most this far from the image's, across and along.
        not_middle: It is not in the middle if its centre is farther than this, across or along.
        order: Least distance of two centres along an axis to say which comes first.
        contrary: Least distance of two centres along an axis to say that one is surely not left of the other.
        beyond: Share of the smaller width by which boxes may overlap where one is left of the other; so with heights.
        larger: Least ratio of two areas to say which object is larger.
        much_larger: Least ratio of an area to the geometric mean of the others' to call an object large, ...
        not_larger: ... and the ratio up to which it is surely not large; so with small ones.
        nearer: Least ratio of two distances to say which object is nearer.
        near: Objects are next to each other up to a gap of this share of the smaller one's size, ...
        far: ... and not from this share of the larger one's size on.
        touching: Objects touch if their masks are at most this many pixels apart, ...
        apart: ... and do not from this many on.
        overlap: Least share of the smaller box that lies in the other for one object to overlap or cover the other.
        seen: Largest visible share of an object that another one hides a part of.
        depth: Least ratio of two depths to say which object is nearer to the camera.
        color: Least share of an object's pixels that clearly show a colour for it to have that colour, ...
        clear_saturation: ... where a pixel is clear from this HSV saturation, in [0, 255], ...
        clear_value: ... and this HSV value on, in [0, 255]; black and white always are clear, grey never is; ...
        claimed_color: ... or that show it at all, if the source's words name that colour and no other.
        no_color: Largest share of an object's pixels in a colour that it surely does not have, ...
        no_near_color: ... together with colours that are easily confused with it.
        color_pixels: Least number of pixels to measure a colour from.
        smallest: Least area of each target of the grammar, as a fraction of the image's area.
        most: Greatest number of targets of an expression of the grammar: more are hard to tell apart and to count.

    Raises:
        ValueError: If one is out of its range.
    """

    side: float = 0.3
    side_reach: float = 0.6
    not_side: float = 0.45
    middle: float = 0.1
    not_middle: float = 0.25
    order: float = 0.03
    contrary: float = 0.01
    beyond: float = 0.15
    larger: float = 1.4
    much_larger: float = 2.5
    not_larger: float = 1.2
    nearer: float = 1.3
    near: float = 0.5
    far: float = 1.5
    touching: int = 2
    apart: int = 8
    overlap: float = 0.2
    seen: float = 0.95
    depth: float = 1.15
    color: float = 0.6
    clear_saturation: int = 100
    clear_value: int = 70
    claimed_color: float = 0.4
    no_color: float = 0.1
    no_near_color: float = 0.3
    color_pixels: int = 64
    smallest: float = 0.001
    most: int = 6

    def __post_init__(self):
        ratios = ("larger", "much_larger", "not_larger", "nearer", "depth")
        for field in fields(self):
            if field.type is int:
                check_integer(field.name, getattr(self, field.name), 0, 2**16)
            elif field.name in ratios:
                check_range(field.name, getattr(self, field.name), 1, 100)
            else:
                check_range(field.name, getattr(self, field.name), 0, 10 if field.name == "far" else 1)
        for low, high in (
            ("side", "not_side"),
            ("middle", "not_middle"),
            ("not_larger", "much_larger"),
            ("touching", "apart"),
            ("near", "far"),
            ("no_color", "color"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(
                    f"`{low}` must be below `{high}`, but got {getattr(self, low)} and {getattr(self, high)}."
                )
