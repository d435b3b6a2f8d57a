"""Colour words and hue variants: words stay true to the pixels, and pixels keep their shape."""

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import Layout, Placement, compose
from sos_mm.segments import Segment
from sos_mm.segments.colors import color_names, dominant_color, vary_hue
from tests.conftest import make_rgba, make_segment

NAMES = {
    "red": (220, 20, 20), "orange": (250, 140, 10), "yellow": (240, 230, 20), "green": (30, 180, 50),
    "cyan": (20, 220, 220), "blue": (20, 40, 230), "purple": (140, 30, 220), "pink": (250, 100, 190),
    "brown": (110, 65, 25), "black": (12, 12, 12), "grey": (128, 128, 130), "white": (250, 250, 248),
}  # fmt: skip


def apple(color, **words) -> Segment:
    """An apple of that colour with a little noise."""
    rng = np.random.default_rng(0)
    rgba = make_rgba(rng, 40, 40)
    rgba[..., :3] = np.clip(np.array(color) + rng.integers(-6, 7, (40, 40, 3)), 0, 255)
    return Segment(rgba, "apple", **words)


@pytest.mark.parametrize("name", NAMES)
def test_colors_are_called_by_their_names(name):
    assert color_names(np.array([NAMES[name]], np.uint8)).tolist() == [name]
    found, share = dominant_color(apple(NAMES[name]))
    assert found == name
    assert share > 0.8


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_every_color_has_one_name(seed):
    colors = np.random.default_rng(seed).integers(0, 256, (500, 3), dtype=np.uint8)
    names = color_names(colors)
    assert set(names) <= set(NAMES)
    for color, name in zip(colors.tolist(), names, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*np.array(color) / 255)
        if value < 0.17:
            assert name == "black"
        elif saturation < 0.14:
            assert name in ("grey", "white", "black")
        elif saturation > 0.7 and value > 0.7:
            assert name not in ("grey", "white", "black")
            if 0.25 < hue < 0.44:
                assert name == "green"


def test_words_follow_the_hue():
    red = apple(
        NAMES["red"],
        sub_category="red_apple",
        phrase="a red apple",
        description="A Red apple, reddish all over.",
        attributes=("red", "round"),
    )
    green = vary_hue(red, 120)
    assert dominant_color(green)[0] == "green"
    assert green.category == "apple"
    assert green.sub_category == "green_apple"
    assert green.phrase == "a green apple"
    assert green.description == "A Green apple, green all over."
    assert green.attributes == ("green", "round")
    orange = vary_hue(red, 30)
    assert orange.phrase == "an orange apple"
    assert vary_hue(orange, -30).phrase == "a red apple"
    assert vary_hue(apple(NAMES["red"], description="An apple, crimson."), 120).description == "An apple, green."
    # A small turn stays inside what red means.
    slight = vary_hue(red, 6)
    assert slight.phrase == "a red apple"
    assert (slight.rgba != red.rgba).any()


@pytest.mark.parametrize(
    ("color", "words"),
    [
        ("red", {}),
        ("red", {"phrase": "an apple"}),
        ("red", {"phrase": "a green apple"}),
        ("red", {"phrase": "a red and white apple"}),
        ("red", {"phrase": "a red apple", "attributes": ("yellow",)}),
        ("red", {"phrase": "a colorful red apple"}),
        ("grey", {"phrase": "a grey apple"}),
        ("white", {"phrase": "a white apple"}),
    ],
)
def test_hue_stays_where_words_cannot_follow(color, words):
    segment = apple(NAMES[color], **words)
    assert vary_hue(segment, 120) is segment


def test_category_words_stay():
    orange = apple(NAMES["orange"])
    orange = Segment(orange.rgba, "orange", phrase="an orange")
    assert vary_hue(orange, 120) is orange
    board = Segment(apple(NAMES["red"]).rgba, "blackboard", phrase="a red blackboard")
    assert vary_hue(board, 120).phrase == "a green blackboard"
    # Words that only hold the letters of a colour are none.
    bored = apple(NAMES["red"], phrase="a red apple, bored and tangled")
    assert vary_hue(bored, 120).phrase == "a green apple, bored and tangled"


def test_mixed_colors_stay():
    half = apple(NAMES["red"], phrase="a red apple")
    rgba = half.rgba.copy()
    rgba[:, 18:, :3] = NAMES["blue"]
    segment = Segment(rgba, "apple", phrase="a red apple")
    assert vary_hue(segment, 120) is segment


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.floats(-720, 720), st.sampled_from(list(NAMES)))
def test_alpha_lightness_and_masks_stay(seed, degrees, name):
    rng = np.random.default_rng(seed)
    rgba = make_segment(rng, *rng.integers(10, 50, 2)).rgba
    segment = Segment(rgba, "ball", phrase=f"a {name} ball")
    segment = Segment(rgba, "ball", phrase=f"a {dominant_color(segment)[0]} ball") if rng.random() < 0.8 else segment
    varied = vary_hue(segment, degrees)
    np.testing.assert_array_equal(varied.rgba[..., 3], segment.rgba[..., 3])
    # HSV value and chroma are what a turn of the hue leaves, but for eight bits.
    for reduce in (np.max, np.min):
        before, after = (reduce(part.rgba[..., :3].astype(int), axis=2) for part in (segment, varied))
        assert np.abs(before - after).max() <= 2
    # The words are true of the pixels, or were not touched.
    if varied is not segment:
        assert dominant_color(varied)[0] in varied.phrase


def test_scenes_keep_their_masks(rng):
    """A placement's turn of the hue changes the object's words and colours, and no mask."""
    segment = apple(NAMES["red"], phrase="a red apple", attributes=("red",))
    ground = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    plain, varied = (
        compose(ground, Layout((80, 80), (Placement(0, (10, 10, 60, 60), hue=hue),)), [segment]) for hue in (0.0, 120.0)
    )
    np.testing.assert_array_equal(plain.owner, varied.owner)
    np.testing.assert_array_equal(plain.objects[0].alpha, varied.objects[0].alpha)
    assert (plain.objects[0].phrase, varied.objects[0].phrase) == ("a red apple", "a green apple")
    assert varied.objects[0].attributes == ("green",)
    seen = varied.image[varied.modal_mask(0)]
    hue = cv2.cvtColor(seen[None], cv2.COLOR_RGB2HSV)[0, :, 0].astype(int) * 2
    assert abs(np.median(hue) - 120) < 8
    outside = plain.objects[0].alpha == 0
    window = plain.objects[0].window
    np.testing.assert_array_equal(plain.image[window][outside], varied.image[window][outside])
