"""Compiled loops: equal, bit by bit, to the numpy and OpenCV code that runs without numba."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import compose
from sos_mm.composition.compositor import _paint
from sos_mm.composition.effects.edges import soften
from sos_mm.composition.effects.grain import GrainMatch, noise_level
from sos_mm.composition.effects.light import DirectionalShading, Harmonize
from sos_mm.composition.effects.shadows import paint_shadow
from sos_mm.composition.effects.silhouettes import small_alpha
from sos_mm.composition.effects.step import Frame, build_steps
from sos_mm.composition.layouts.prior import Layout
from sos_mm.composition.place import Sprite, resize_premultiplied
from sos_mm.composition.scene import Light, Placement
from sos_mm.segments.segment import Segment
from tests.helpers.numba import needs_numba, with_and_without

pytestmark = needs_numba
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 70)


def straight_pixels(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """RGBA pixels a third of which are transparent, a third opaque, and at least one opaque."""
    rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
    kind = rng.integers(3, size=(height, width))
    rgba[..., 3] = np.where(kind == 0, 0, np.where(kind == 1, 255, rgba[..., 3]))
    rgba[rng.integers(height), rng.integers(width), 3] = 255
    return rgba


def sprite_on(rng: np.random.Generator, height: int, width: int, canvas: tuple[int, int]) -> Sprite:
    """A sprite at a random place of a canvas."""
    rgba = resize_premultiplied(straight_pixels(rng, height, width), height, width)
    x, y = int(rng.integers(canvas[1] - width + 1)), int(rng.integers(canvas[0] - height + 1))
    return Sprite(rgba, (x, y), 0, (x, y, x + width, y + height))


def frame_of(rng: np.random.Generator, height: int, width: int) -> Frame:
    """A frame with a noisy image."""
    light = Light(float(rng.uniform(0, 360)), float(rng.uniform(1, 90)))
    return Frame(rng.integers(0, 256, (height, width, 3), np.uint8), light)


@settings(max_examples=60, deadline=None)
@given(seeds, sides, sides, sides, sides, st.booleans())
def test_scaling(seed, height, width, new_height, new_width, flipped):
    rgba = straight_pixels(np.random.default_rng(seed), height, width)
    fast, plain = with_and_without(lambda: resize_premultiplied(rgba, new_height, new_width, flipped))
    np.testing.assert_array_equal(fast, plain)
    if flipped:
        np.testing.assert_array_equal(plain[:, ::-1], resize_premultiplied(rgba, new_height, new_width))


@settings(max_examples=60, deadline=None)
@given(seeds, sides, sides, st.sampled_from([Harmonize(1.0, 1.0, 36.0), DirectionalShading(1.0), GrainMatch(64.0)]))
def test_steps_on_pixels(seed, height, width, step):
    rng = np.random.default_rng(seed)
    frame, sprite = frame_of(rng, 90, 80), sprite_on(rng, height, width, (90, 80))
    fast, plain = with_and_without(lambda: step.retouch(sprite, frame, np.random.default_rng(seed)))
    np.testing.assert_array_equal(fast.rgba, plain.rgba)


@settings(max_examples=60, deadline=None)
@given(seeds, sides, sides, st.floats(0.25, 4), st.booleans())
def test_softening(seed, height, width, sigma, inside):
    rng = np.random.default_rng(seed)
    sprite = sprite_on(rng, height, width, (76, 73))
    fast, plain = with_and_without(lambda: soften(sprite, sigma, (76, 73), inside))
    assert fast.offset == plain.offset
    np.testing.assert_array_equal(fast.rgba, plain.rgba)


@settings(max_examples=30, deadline=None)
@given(seeds, sides, sides, st.floats(0.25, 4), st.booleans())
def test_softening_of_solid_parts(seed, height, width, sigma, inside):
    """Large opaque and transparent parts, most of which a blur of the edge leaves as they are; a blur inside
    leaves only the transparent ones.
    """
    rng = np.random.default_rng(seed)
    rgba = np.zeros((height, width, 4), np.uint8)
    opaque = rgba[int(rng.integers(height)) :, int(rng.integers(width)) :]
    opaque[:] = np.dstack([rng.integers(0, 256, (*opaque.shape[:2], 3)), np.full(opaque.shape[:2], 255)])
    sprite = Sprite(rgba, (3, 2), 0, (3, 2, 3 + width, 2 + height))
    fast, plain = with_and_without(lambda: soften(sprite, sigma, (76, 73), inside))
    np.testing.assert_array_equal(fast.rgba, plain.rgba)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 400), st.integers(1, 400), st.sampled_from([32, 64]))
def test_reduced_silhouettes(seed, height, width, side):
    """Of rows and columns that are subsampled, averaged or enlarged; without the result that is kept."""
    alpha = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    sprite = Sprite(np.dstack([alpha] * 4), (0, 0), 0, (0, 0, width, height))
    np.testing.assert_array_equal(*with_and_without(lambda: small_alpha.__wrapped__(sprite, side)))


canvases = st.sampled_from([(90, 80), (90, 80), (300, 700), (900, 160)])


@settings(max_examples=60, deadline=None)
@given(seeds, sides, sides, st.floats(0, 1), st.sampled_from([0.0, 0.1, 1.0]), canvases)
def test_shadows(seed, height, width, strength, share, canvas):
    """Sheared and flattened; of some only few rows cast a shadow, or none; on large canvases they are enlarged."""
    rng, (height, width) = np.random.default_rng(seed), (height * canvas[0] // 90, width * canvas[1] // 80)
    frame, sprite = frame_of(rng, *canvas), sprite_on(rng, height, width, canvas)
    low = sprite.extent[3] - 0.5
    ramp = low - max(share * height, 1), low
    lean = float(rng.uniform(-1, 1)), float(rng.choice([-1, 1]) * rng.uniform(0.1, 1))
    sigma = float(rng.uniform(0.5, 5))

    def run() -> np.ndarray:
        image = frame.image.copy()
        paint_shadow(image, sprite, lean, ramp, sigma, strength)
        return image

    np.testing.assert_array_equal(*with_and_without(run))


@settings(max_examples=40, deadline=None)
@given(seeds, sides, sides)
def test_estimated_noise(seed, height, width):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8) // rng.integers(1, 60, dtype=np.uint8)
    fast, plain = with_and_without(lambda: noise_level(image))
    assert fast == plain


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_painting(order):
    """All pairs of a value and its alpha, over random pixels."""
    value, alpha = np.mgrid[:256, :256].astype(np.uint8)
    rgba = np.dstack([np.minimum(value, alpha), np.minimum(255 - value, alpha), np.minimum(value, alpha), alpha])
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)

    def paint() -> np.ndarray:
        painted = image.copy()
        _paint(painted, Sprite(rgba, (0, 0), 0, (0, 0, 256, 256)), order)
        return painted

    np.testing.assert_array_equal(*with_and_without(paint))


@settings(max_examples=60, deadline=None)
@given(seeds, sides, sides, st.integers(1, 200), st.floats(0, 1), canvases)
def test_visible_pixels(seed, height, width, min_area, min_share, canvas):
    rng = np.random.default_rng(seed)
    sprite = sprite_on(rng, min(height, canvas[0]), min(width, canvas[1]), canvas)
    taken = rng.random(canvas) < rng.choice([0, 0.3, 0.9])

    def uncover() -> tuple:
        after, own = taken.copy(), replace(sprite)
        seen, number = own.uncover(after[own.window], min_area, min_share)
        return after, seen, number, own.area, seen.dtype == bool

    for fast, plain in zip(*with_and_without(uncover), strict=True):
        np.testing.assert_array_equal(fast, plain)
    after, seen, number, area, _ = uncover()
    opaque = np.zeros(canvas, bool)
    opaque[sprite.window] = sprite.rgba[..., 3] >= 128
    truth = opaque & ~taken
    np.testing.assert_array_equal(seen, truth[sprite.window])
    assert (number, area) == (truth.sum(), opaque.sum())
    np.testing.assert_array_equal(after, taken | truth if number >= max(min_area, min_share * area) else taken)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_whole_scenes(seed):
    """With all default effects, rotated, mirrored, and across the canvas's border."""
    rng = np.random.default_rng(seed)
    segments = [Segment(straight_pixels(rng, *rng.integers(1, 90, 2).tolist()), "thing") for _ in range(5)]
    corners = rng.integers(-30, 100, (5, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 90, (5, 2))], axis=1).tolist()
    flips, rotations = rng.random(5) < 0.5, rng.choice([0.0, 30.0, 90.0], 5).tolist()
    placements = tuple(
        Placement(index, tuple(box), flipped=bool(flip), rotation=rotation)
        for index, (box, flip, rotation) in enumerate(zip(boxes, flips, rotations, strict=True))
    )
    ground, steps = rng.integers(0, 256, (100, 120, 3), np.uint8), build_steps(["default"])

    def run():
        layout = Layout((100, 120), placements)
        return compose(
            ground, layout, segments, min_visible_share=0, min_area=1, steps=steps, rng=np.random.default_rng(1)
        )

    fast, plain = with_and_without(run)
    np.testing.assert_array_equal(fast.image, plain.image)
    np.testing.assert_array_equal(fast.owner, plain.owner)
    for one, other in zip(fast.objects, plain.objects, strict=True):
        assert (one.box, one.area, one.amodal_box, one.amodal_area) == (
            other.box,
            other.area,
            other.amodal_box,
            other.amodal_area,
        )
        np.testing.assert_array_equal(one.alpha, other.alpha)
