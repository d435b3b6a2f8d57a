"""Blends: the membrane is harmonic, and the area-weighted blend keeps what its weights say."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import (
    Layout,
    Light,
    Placement,
    Relighter,
    build_relighter,
    build_steps,
    compose,
    default_light,
)
from sos_mm.composition.effects.blending import area_weights, blend_lab, solve_membrane
from sos_mm.segments import Segment
from tests.conftest import make_segment


def test_membrane_is_harmonic():
    """Against the exact solution: a plane is harmonic, so a plane on the rim is a plane inside."""
    rows, columns = np.mgrid[:40, :48].astype(np.float32)
    plane = (0.5 * columns - rows + 7)[..., None]
    inside = (columns - 23.5) ** 2 + (rows - 19.5) ** 2 < 18**2
    rim = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    solved = solve_membrane(np.where(rim[..., None], plane, 1e6).astype(np.float32), rim)
    assert np.abs(solved - plane)[inside].max() < 1.5
    assert not solve_membrane(plane, np.zeros_like(rim)).any()


def test_poisson_takes_the_level_of_the_ground():
    rng = np.random.default_rng(2)
    segment, layout = make_segment(rng, 60, 60), Layout((100, 100), (Placement(0, (20, 20, 80, 80)),))
    ground = np.full((100, 100, 3), (30, 200, 90), np.uint8)
    steps = build_steps([{"type": "PoissonBlend", "strength": 1, "limit": 255}])
    scene = compose(ground, layout, [segment], steps=steps, rng=rng)
    seen = scene.image[scene.modal_mask(0)].astype(float)
    assert np.abs(seen.mean(axis=0) - (30, 200, 90)).max() < 8
    # Gradients stay: noise of the object is still there.
    assert seen.std(axis=0).min() > 5


@settings(max_examples=60)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_area_weights(areas):
    weights = area_weights(np.array(areas))
    assert ((weights >= 0.3) & (weights <= 0.9)).all()
    order = np.argsort(areas)
    assert (np.diff(weights[order]) <= 1e-12).all()
    np.testing.assert_allclose(area_weights(np.array(areas), keep="large"), 1.2 - weights)
    if len(set(areas)) == len(areas) > 1:
        ranks = np.argsort(order) / (len(areas) - 1)
        np.testing.assert_allclose(weights, 0.3 + 0.6 / (1 + np.exp(10 * (ranks - 0.5))))


class Tint:
    """A relighter that gives back one colour."""

    def __init__(self, color):
        self.color = color

    def relight(self, image, alpha, light, rng):
        return np.full_like(image, self.color)


def blended(**options):
    segments = [
        Segment(np.full((10, 10, 4), (*color, 255), np.uint8), "tile") for color in ((200, 60, 60), (60, 60, 200))
    ]
    layout = Layout((60, 60), (Placement(0, (0, 0, 40, 40)), Placement(1, (45, 45, 55, 55))))
    steps = build_steps([{"type": "AreaWeightedBlend", **options}])
    return compose(np.full((60, 60, 3), 90, np.uint8), layout, segments, steps=steps, rng=np.random.default_rng(0))


def lightness(color) -> float:
    return float(cv2.cvtColor(np.array(color, np.float32).reshape(1, 1, 3) / 255, cv2.COLOR_RGB2Lab)[0, 0, 0])


def test_area_weighted_blend():
    dark = Tint((10, 10, 10))
    assert isinstance(dark, Relighter)
    scene = blended(relighter=dark)
    assert scene.image[58, 2].tolist() == [10, 10, 10]
    for pixel, color, weight in (((5, 5), (200, 60, 60), 0.304), ((50, 50), (60, 60, 200), 0.896)):
        expected = weight * lightness(color) + (1 - weight) * lightness((10, 10, 10))
        assert abs(lightness(scene.image[pixel]) - expected) < 1
    other = blended(relighter=dark, keep="large", background="original")
    assert other.image[58, 2].tolist() == [90, 90, 90]
    assert lightness(other.image[5, 5]) > lightness(scene.image[5, 5]) + 10
    colorful = blended(relighter=dark, chroma="original").image[5, 5].astype(int)
    assert np.ptp(colorful) > np.ptp(scene.image[5, 5].astype(int))
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    weights = np.random.default_rng(1).random((20, 20), np.float32)
    same = blend_lab(image, image, weights, False, np.zeros((20, 20), np.uint8))
    assert np.abs(same.astype(int) - image).max() <= 1


class Recorder:
    """A relighter that turns colours round, and keeps what it was given."""

    def relight(self, image, alpha, light, rng):
        self.given = image, alpha, light
        return 255 - image


def test_relight_takes_all_of_the_relit_image():
    """Objects and background alike, to the last level; the relighter sees the painted scene and where objects are."""
    segments = [make_segment(np.random.default_rng(seed), 30, 20) for seed in (0, 1)]
    layout = Layout((60, 60), (Placement(0, (5, 5, 35, 25)), Placement(1, (20, 10, 50, 30))))
    ground, recorder = np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8), Recorder()
    plain, relit = (
        compose(ground, layout, segments, steps=steps, rng=np.random.default_rng(3))
        for steps in ((), build_steps([{"type": "Relight", "relighter": recorder}]))
    )
    np.testing.assert_array_equal(relit.image, 255 - plain.image)
    image, alpha, light = recorder.given
    np.testing.assert_array_equal(image, plain.image)
    assert isinstance(light, Light)
    objects = np.any([plain.modal_mask(index) for index in range(2)], axis=0)
    assert (alpha[objects] >= 128).all()
    assert (alpha[40:] == 0).all()
    np.testing.assert_array_equal(relit.modal_mask(0), plain.modal_mask(0))
    # A blend that keeps nothing comes to the same but for the rounding on the way through Lab.
    blend = [{"type": "AreaWeightedBlend", "relighter": recorder, "low": 0, "high": 0}]
    blended_away = compose(ground, layout, segments, steps=build_steps(blend), rng=np.random.default_rng(3))
    assert np.abs(blended_away.image.astype(int) - relit.image).max() <= 1


def test_overlapping_soft_objects_cover_the_ground_together():
    """Two sheets of half alpha leave a quarter of the ground."""
    recorder = Recorder()
    sheet = np.full((40, 40, 4), (200, 60, 60, 153), np.uint8)
    layout = Layout((60, 60), (Placement(0, (0, 0, 40, 40)), Placement(1, (20, 0, 60, 40))))
    steps = build_steps([{"type": "Relight", "relighter": recorder}])
    segments = [Segment(sheet, "sheet"), Segment(sheet, "sheet")]
    compose(np.zeros((60, 60, 3), np.uint8), layout, segments, steps=steps, rng=np.random.default_rng(0))
    alpha = recorder.given[1]
    # 153 of 255 is 0.6: together 1 - 0.4 * 0.4 = 0.84.
    assert (alpha[20, 5], alpha[20, 30], alpha[20, 55], alpha[50, 30]) == (153, 214, 153, 0)


@pytest.mark.parametrize("step", ["Relight", "AreaWeightedBlend"])
def test_what_lights_anew_needs_a_relighter(step):
    with pytest.raises(ValueError, match="`relighter` must have a method `relight`"):
        build_steps([{"type": step, "relighter": 3}])
    with pytest.raises(ValueError, match="Did you mean 'GradientRelighter'"):
        build_steps([{"type": step, "relighter": {"type": "GradientRelight"}}])


def test_blend_refuses_another_shape():
    class Crop:
        def relight(self, image, alpha, light, rng):
            return image[1:]

    with pytest.raises(ValueError, match="The relit image must be"):
        blended(relighter=Crop())
    with pytest.raises(ValueError, match="`relighter` must have"):
        blended(relighter="ic-light")


def test_a_relighter_by_name():
    """Brighter towards the light, the same brightness in the middle, and no colour moved without warmth."""
    grey = np.full((41, 41, 3), 100, np.uint8)
    relighter = build_relighter({"type": "GradientRelighter", "strength": 0.5, "warmth": 0})
    for azimuth, brightest in ((0, (0, 40)), (180, (0, 0))):
        lit = relighter.relight(grey, grey[..., 0], Light(azimuth, 30), np.random.default_rng(0))
        assert np.unravel_index(lit[..., 0].argmax(), (41, 41)) == brightest
        assert lit[20, 20].tolist() == [100, 100, 100]
        assert (lit.max(), lit.min()) == (150, 50)
    assert (grey == 100).all()
    warm = build_relighter({"type": "GradientRelighter"}).relight(
        grey, grey[..., 0], Light(0, 90), np.random.default_rng(0)
    )
    assert len(np.unique(warm[20, 20])) == 3
    with pytest.raises(ValueError, match="Did you mean 'GradientRelighter'"):
        build_relighter({"type": "GradientRelight"})
    with pytest.raises(ValueError, match="`strength` must be in"):
        build_steps([{"type": "AreaWeightedBlend", "relighter": {"type": "GradientRelighter", "strength": 2}}])


def test_the_word_default_stands_for_its_steps():
    steps = build_steps(["default", {"type": "JpegMatch"}])
    assert steps[:-1] == build_steps(default_light())
    with pytest.raises(ValueError, match="`effects` must be one of 'default'"):
        build_steps(["defualt"])
