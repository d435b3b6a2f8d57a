"""Light, edges and blends: shadows on the right side, tones nearer, masks and background untouched."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import Layout, Light, Placement, Relight, build_steps, compose, default_light
from sos_mm.composition.compositor import _paint
from sos_mm.composition.effects import step as steps_module
from sos_mm.composition.effects.edges import soften
from sos_mm.composition.effects.grain import noise_level
from sos_mm.composition.effects.lab import level_shift, statistics
from sos_mm.composition.effects.light import DirectionalShading, Harmonize, neighbourhood
from sos_mm.composition.effects.shadows import CastShadow, ContactShadow
from sos_mm.composition.effects.step import Frame, Lighting
from sos_mm.composition.place import place
from sos_mm.segments import Segment
from tests.composition.test_blending import Tint
from tests.composition.test_scenes import CANVAS, random_scene
from tests.conftest import make_segment

seeds = st.integers(0, 2**31)
BOX = Placement(0, (30, 30, 70, 70))
EVERY = [*default_light(), {"type": "PoissonBlend"}, {"type": "DepthOfField"}, {"type": "JpegMatch"}]


def lit(seed: int, configs):
    """The random scene of a seed, as it is and with steps."""
    background, layout, segments, plain = random_scene(seed)
    steps = build_steps(configs)
    return background, plain, compose(background, layout, segments, steps=steps, rng=np.random.default_rng(seed))


def standing(light: Light, color=(128, 128, 128), size=(200, 240)) -> tuple[Frame, object]:
    """A grey ball in the middle of a white canvas."""
    rgba = make_segment(np.random.default_rng(0), 60, 40).rgba.copy()
    rgba[..., :3] = color
    sprite = place(Segment(rgba, "ball"), Placement(0, (100, 70, 140, 130)), size)
    return Frame(np.full((*size, 3), 255, np.uint8), light), sprite


@settings(max_examples=25)
@given(seeds)
def test_light_moves_no_mask(seed):
    _, plain, scene = lit(seed, EVERY)
    np.testing.assert_array_equal(scene.owner, plain.owner)
    assert [(item.box, item.area, item.amodal_area) for item in scene.objects] == [
        (item.box, item.area, item.amodal_area) for item in plain.objects
    ]
    for index, item in enumerate(scene.objects):
        np.testing.assert_array_equal(scene.amodal_mask(index), plain.amodal_mask(index))
        assert item.offset[0] >= 0
        assert item.offset[0] + item.alpha.shape[1] <= CANVAS[1]


@settings(max_examples=25)
@given(seeds)
def test_background_stays_without_shadows(seed):
    configs = [config for config in EVERY if "Shadow" not in config["type"]]
    background, _, scene = lit(seed, configs)
    touched = np.zeros(scene.size, bool)
    for item in scene.objects:
        touched[item.window] |= item.alpha > 0
    np.testing.assert_array_equal(scene.image[~touched], background[~touched])


def test_light_repeats_and_steps_are_independent():
    first, second = lit(5, EVERY)[2], lit(5, EVERY)[2]
    np.testing.assert_array_equal(first.image, second.image)
    assert first.light == second.light
    # A step that is switched off moves no draw of another one.
    fewer = lit(5, [{**config, "enabled": config["type"] == "GrainMatch"} for config in EVERY])[2]
    assert fewer.light == first.light
    other = lit(5, [{"type": "GrainMatch"}])[2]
    np.testing.assert_array_equal(fewer.image, other.image)
    assert lit(5, [])[1].light is None
    np.testing.assert_array_equal(lit(5, [])[1].image, lit(5, [])[2].image)


def shadow(light: Light, step) -> np.ndarray:
    """(200, 240) float64, what a step takes from a white ground under the ball, whose foot is at (120, 130)."""
    frame, sprite = standing(light)
    step.underlay(sprite, frame, np.random.default_rng(0))
    return 255 - frame.image[..., 0].astype(float)


@pytest.mark.parametrize("azimuth", range(0, 360, 15))
@pytest.mark.parametrize("elevation", [35, 60])
def test_cast_shadow_lies_away_from_the_light(azimuth, elevation):
    light, step = Light(azimuth, elevation), CastShadow()
    loss = shadow(light, step)
    x = (loss.sum(axis=0) * (np.arange(240) + 0.5)).sum() / loss.sum() - 120
    towards, _, viewer = light.direction
    # To the side, unless the light stands straight before or behind the object; and then up or down the image.
    assert x * towards < 0 if abs(towards) > 1e-6 else abs(x) < 1.5
    y = (loss.sum(axis=1) * (np.arange(200) + 0.5)).sum() / loss.sum() - 130
    assert viewer * y < 1e-6
    # Nothing is brighter, and nothing darker beyond the moved silhouette and its soft edge.
    assert loss.min() == 0
    drift, rise = step.lean(light)
    soft = 3 * step.softness * 60 + 3
    ends = np.array([(100, 130), (140, 130), (100 + 60 * drift, 130 - 60 * rise), (140 + 60 * drift, 130 - 60 * rise)])
    rows, columns = np.nonzero(loss)
    assert columns.min() >= ends[:, 0].min() - soft
    assert columns.max() <= ends[:, 0].max() + soft
    assert rows.min() >= ends[:, 1].min() - soft
    assert rows.max() <= ends[:, 1].max() + soft
    assert 0.4 * step.strength < loss.max() / 255 <= step.strength + 0.01


@pytest.mark.parametrize("azimuth", range(0, 181, 15))
def test_cast_shadow_meets_the_object(azimuth):
    """From the foot to where it is darkest there is shadow all along: nothing floats."""
    loss = shadow(Light(azimuth, 45), CastShadow())
    darkest = np.array(np.unravel_index(loss.argmax(), loss.shape))
    line = np.rint(np.linspace((129, 120), darkest, 50)).astype(int)
    assert loss[tuple(line.T)].min() > 0.3 * loss.max()


def test_cast_shadow_fades_with_height():
    """That of a wall, with light from the viewer: dark at its foot and gone where its top falls."""
    sprite = place(Segment(np.full((60, 40, 4), 255, np.uint8), "wall"), Placement(0, (100, 70, 140, 130)), (200, 240))
    frame = Frame(np.full((200, 240, 3), 255, np.uint8), Light(90, 45))
    CastShadow().underlay(sprite, frame, np.random.default_rng(0))
    loss = 255 - frame.image[100:128, 120, 0].astype(int)
    assert (np.diff(loss) >= 0).all()
    assert loss[0] == 0
    assert loss[-1] > 40


@pytest.mark.parametrize("azimuth", range(0, 360, 45))
def test_scenes_are_darkened_away_from_the_light(azimuth, monkeypatch):
    """Through `compose`, with the light given: the difference with and without the step."""
    monkeypatch.setattr(Lighting, "__init__", given_light(Light(azimuth, 45)))
    segment = make_segment(np.random.default_rng(0), 60, 40)
    layout = Layout((200, 240), (Placement(0, (100, 70, 140, 130)),))
    ground = np.full((200, 240, 3), 255, np.uint8)
    plain = compose(ground, layout, [segment])
    lit_scene = compose(
        ground, layout, [segment], steps=build_steps([{"type": "CastShadow"}]), rng=np.random.default_rng(0)
    )
    loss = (plain.image.astype(float) - lit_scene.image).sum(axis=2)
    x = (loss.sum(axis=0) * (np.arange(240) + 0.5)).sum() / loss.sum() - 120
    towards = lit_scene.light.direction[0]
    assert x * towards < 0 if abs(towards) > 1e-6 else abs(x) < 1.5


def given_light(light: Light):
    """An `__init__` of `Lighting` whose light is that one."""
    draw = Lighting.__init__

    def init(self, steps, rng):
        draw(self, steps, rng)
        self.light = light

    return init


def test_grown_sprites_cast_shadows():
    """An edge step grows a sprite beyond its extent; the shadow stays where it was."""
    frame, sprite = standing(Light(45, 45))
    grown = soften(sprite, 3, (200, 240), inside=False)
    assert grown.offset[1] < sprite.extent[1]
    other = Frame(frame.image.copy(), frame.light)
    for step in (CastShadow(), ContactShadow()):
        step.underlay(sprite, frame, np.random.default_rng(0))
        step.underlay(grown, other, np.random.default_rng(0))
    # The blurred edge alone makes it a little wider.
    assert np.abs(frame.image.astype(int) - other.image).max() < 30
    assert np.abs(frame.image.astype(int) - other.image).mean() < 0.6


def test_contact_shadow_is_under_the_foot():
    frame, sprite = standing(Light(0, 45))
    ContactShadow().underlay(sprite, frame, np.random.default_rng(0))
    rows, columns = np.nonzero(frame.image[..., 0] < 255)
    assert 110 < rows.min() < 130 < rows.max() < 140
    assert abs(columns.mean() - 119.5) < 1.5


def test_shadows_fall_on_what_is_behind_alone():
    """The object in front has the same pixels whether or not the one behind it casts a shadow on the ground."""
    rng = np.random.default_rng(3)
    segments = [make_segment(rng, 40, 40), Segment(np.full((10, 10, 4), 255, np.uint8), "wall")]
    background = np.full((100, 100, 3), 200, np.uint8)
    layout = Layout((100, 100), (Placement(0, (30, 30, 70, 70)), Placement(1, (10, 55, 90, 95))))
    steps = build_steps([{"type": "CastShadow"}, {"type": "ContactShadow"}])
    scene = compose(background, layout, segments, steps=steps, rng=rng)
    assert (scene.image[scene.modal_mask(1)] == 255).all()
    plain = compose(background, layout, segments)
    assert (scene.image <= plain.image).all()
    # The front one's shadow falls on the back one too.
    np.testing.assert_array_equal(scene.owner, plain.owner)
    assert (scene.image < plain.image).any()


@settings(max_examples=30)
@given(seeds)
def test_harmonisation_brings_object_and_surroundings_together(seed):
    rng = np.random.default_rng(seed)
    ground = np.clip(rng.integers(30, 226, 3) + rng.normal(0, 12, (120, 120, 3)), 0, 255).astype(np.uint8)
    sprite = place(make_segment(rng, 60, 50), Placement(0, (30, 30, 80, 90)), (120, 120))
    moved = Harmonize(strength=0.5, chroma=0.5).retouch(sprite, Frame(ground, Light(0, 45)), rng)
    np.testing.assert_array_equal(moved.rgba[..., 3], sprite.rgba[..., 3])
    assert (moved.rgba[..., :3] <= moved.rgba[..., 3:]).all()

    before, after = lab_gaps(sprite, ground), lab_gaps(moved, ground)
    assert np.linalg.norm(after) <= np.linalg.norm(before) + 1


@pytest.mark.parametrize("level", [80, 100, 128, 160, 200])
@pytest.mark.parametrize("change", [-40, -20, 20, 40])
def test_harmonisation_goes_the_share_that_is_told(level, change):
    tile = place(Segment(np.full((40, 40, 4), (level, level, level, 255), np.uint8), "tile"), BOX, (100, 100))
    ground = np.full((100, 100, 3), level + change, np.uint8)
    moved = Harmonize(strength=0.4, limit=30).retouch(tile, Frame(ground, Light(0, 45)), np.random.default_rng(0))
    before, after = lab_gaps(tile, ground)[0], lab_gaps(moved, ground)[0]
    assert abs(after / before - 0.6) < 0.06


def lab_gaps(sprite, ground) -> np.ndarray:
    """(3,) distances between the Lab means of an object and of what is around it."""
    parts = neighbourhood(sprite, ground, 0.3)
    own, around = (cv2.cvtColor(part[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0] for part in parts)
    return np.abs(own.mean(axis=0) - around.mean(axis=0))


@settings(max_examples=60)
@given(seeds, st.integers(1, 400), st.integers(2, 256))
def test_statistics_are_those_of_opencv_in_lab(seed, number, levels):
    rgb = np.random.default_rng(seed).integers(0, levels, (number, 3)).astype(np.uint8)
    mean, spread = cv2.meanStdDev(cv2.cvtColor(rgb[None] / np.float32(255), cv2.COLOR_RGB2Lab))
    x, y, z, found = statistics(rgb)
    # Single colours differ by up to 0.22, 1.1 and 0.56, all dark ones and 20,000 others: the steps of the tables.
    gaps = np.abs(np.subtract([116 * y - 16, 500 * (x - y), 200 * (y - z)], mean[:, 0]))
    assert (gaps < [0.25, 1.25, 0.65]).all()
    assert abs(found - spread[0, 0]) < 0.2


@settings(max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_shifts_of_levels_lead_from_one_color_to_another(levels):
    one, other = (statistics(np.array([part], np.uint8)) for part in (levels[:3], levels[3:]))
    wanted = np.subtract(levels[3:], levels[:3])
    np.testing.assert_allclose(level_shift(one, other, 1, 1), wanted, atol=2)
    np.testing.assert_array_equal(level_shift(one, other, 0, 0), [0, 0, 0])


def test_harmonisation_holds_black_and_lights_no_white():
    for level, ground in ((0, 255), (255, 255), (0, 0)):
        tile = place(Segment(np.full((40, 40, 4), (level, level, level, 255), np.uint8), "tile"), BOX, (100, 100))
        frame = Frame(np.full((100, 100, 3), ground, np.uint8), Light(0, 45))
        moved = Harmonize(strength=1, chroma=1, limit=36).retouch(tile, frame, np.random.default_rng(0))
        assert (moved.rgba[..., :3] == level).all()


@settings(max_examples=30)
@given(seeds, st.floats(0, 1), st.floats(0, 1), st.floats(0, 36))
def test_harmonisation_keeps_the_order_of_levels(seed, strength, chroma, limit):
    """Curves rise everywhere: no banding, nothing is inverted."""
    rng = np.random.default_rng(seed)
    own, around = rng.integers(0, 256, (2, 50, 3)).astype(np.uint8) // rng.integers(1, 20, (2, 1, 3)).astype(np.uint8)
    curves = Harmonize(strength, chroma, limit)._curves(own, statistics(own), statistics(around)).astype(int)
    assert (np.diff(curves, axis=0) >= 0).all()
    assert np.diff(curves, axis=0).max() <= 3
    assert (curves[0] == 0).all()


@pytest.mark.parametrize("name", sorted(steps_module._STEPS))
def test_each_step_does_something_and_can_be_switched_off(name):
    """Each of the registered steps alone, and switched off by one value of its config."""
    options = {"relighter": Tint((10, 10, 10))} if issubclass(steps_module._STEPS[name], Relight) else {}
    rng = np.random.default_rng(1)
    segments = [make_segment(rng, 60, 60)]
    placements = tuple(Placement(0, (x, 20, x + 60, 80), depth=depth) for x, depth in ((10, 40.0), (80, 1.0)))
    layout, ground = Layout((110, 150), placements), np.full((110, 150, 3), (190, 150, 100), np.uint8)
    ground += rng.integers(0, 30, ground.shape, dtype=np.uint8)
    plain = compose(ground, layout, segments)
    on, off = (
        compose(
            ground,
            layout,
            segments,
            steps=build_steps([{"type": name, "enabled": enabled, **options}]),
            rng=np.random.default_rng(0),
        )
        for enabled in (True, False)
    )
    assert (on.image != plain.image).any()
    np.testing.assert_array_equal(off.image, plain.image)
    np.testing.assert_array_equal(on.owner, plain.owner)
    assert type(build_steps([{"type": name, **options}])[0]).__doc__


@pytest.mark.parametrize("azimuth", [0, 180])
def test_shading_brightens_the_lit_side(azimuth):
    frame, sprite = standing(Light(azimuth, 40))
    shaded = DirectionalShading().retouch(sprite, frame, np.random.default_rng(0)).rgba.astype(int)
    left, right = shaded[25:35, 4:12, 0].mean(), shaded[25:35, -12:-4, 0].mean()
    assert (right > left + 10) == (azimuth == 0)
    assert (left > right + 10) == (azimuth == 180)
    # And from above.
    assert shaded[5:12, 15:25, 0].mean() > shaded[-12:-5, 15:25, 0].mean() + 10


@settings(max_examples=30)
@given(seeds, st.floats(0.3, 5), st.booleans())
def test_softening_makes_no_halo(seed, sigma, inside):
    """One colour stays that colour over black and white: the composite is the analytic one."""
    rng = np.random.default_rng(seed)
    rgba = make_segment(rng, 50, 40).rgba.copy()
    color = rng.integers(0, 256, 3)
    # Transparent pixels have the opposite colour, to show if it comes in.
    rgba[..., :3] = np.where(rgba[..., 3:] > 0, color, 255 - color)
    sprite = place(Segment(rgba, "ball"), Placement(0, (-10, 20, 30, 70)), CANVAS)
    soft = soften(sprite, sigma, CANVAS, inside)
    for ground in (0, 255):
        image = np.full((*CANVAS, 3), ground, np.uint8)
        _paint(image, soft)
        alpha = soft.rgba[..., 3:].astype(float) / 255
        expected = alpha * color + (1 - alpha) * ground
        # A level of rounding in the sprite, a level in the blur, half a level in the paint.
        assert np.abs(image[soft.window] - expected).max() <= 2.6


def test_depth_of_field_leaves_the_focus_sharp():
    rng = np.random.default_rng(1)
    segments = [make_segment(rng, 60, 60)]
    placements = tuple(Placement(0, (x, 20, x + 60, 80), depth=depth) for x, depth in ((0, 40.0), (80, 1.0)))
    layout, ground = Layout((100, 140), placements), np.zeros((100, 140, 3), np.uint8)
    plain = compose(ground, layout, segments)
    steps = build_steps([{"type": "DepthOfField", "strength": 0.02}])
    results = set()
    for seed in range(8):
        scene = compose(ground, layout, segments, steps=steps, rng=np.random.default_rng(seed))
        same = tuple(bool((scene.image[plain.modal_mask(i)] == plain.image[plain.modal_mask(i)]).all()) for i in (0, 1))
        results.add(same)
    assert results == {(True, False), (False, True)}


def test_grain_is_that_of_the_background():
    rng = np.random.default_rng(0)
    noisy = np.clip(128 + rng.normal(0, 4, (200, 200, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    assert 3 < noise_level(noisy) < 5
    flat = Segment(np.full((20, 20, 4), (90, 120, 60, 255), np.uint8), "tile")
    layout = Layout((200, 200), (Placement(0, (20, 20, 180, 180)),))
    scene = compose(noisy, layout, [flat], steps=build_steps([{"type": "GrainMatch"}]), rng=rng)
    assert 3 < noise_level(scene.image[40:160, 40:160]) < 5
    assert abs(scene.image[20:180, 20:180].mean(axis=(0, 1)) - (90, 120, 60)).max() < 0.5
    clean = compose(np.full_like(noisy, 128), layout, [flat], steps=build_steps([{"type": "GrainMatch"}]), rng=rng)
    assert noise_level(clean.image) == 0


@pytest.mark.parametrize("name", sorted(steps_module._STEPS))
@pytest.mark.parametrize("thickness", [1, 2, 3, 7])
@pytest.mark.parametrize("lying", [False, True])
def test_long_thin_objects_are_lit(name, thickness, lying):
    """A knife across the whole image, of few pixels the other way."""
    size = (thickness, 900) if lying else (900, thickness)
    segment = Segment(np.full((*size, 4), (120, 90, 60, 255), np.uint8), "knife")
    layout = Layout((1000, 1000), (Placement(0, (40, 50, 40 + size[1], 50 + size[0]), depth=2.0),))
    ground = np.full((1000, 1000, 3), (190, 150, 100), np.uint8)
    options = {"relighter": Tint((10, 10, 10))} if issubclass(steps_module._STEPS[name], Relight) else {}
    steps = build_steps([{"type": name, **options}])
    scene = compose(ground, layout, [segment], steps=steps, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(scene.owner, compose(ground, layout, [segment]).owner)
    assert scene.objects[0].area == 900 * thickness


def test_transparent_scenes():
    _, layout, segments, _ = random_scene(4)
    bare = compose(None, layout, segments)
    for level in (0, 255):
        ground = np.full((*CANVAS, 3), level, np.uint8)
        expected = bare.image + level * (1 - bare.alpha[..., None] / 255)
        assert np.abs(compose(ground, layout, segments).image - expected).max() <= 0.51 * len(segments) * 2
    steps = build_steps(EVERY)
    scene = compose(None, layout, segments, steps=steps, rng=np.random.default_rng(0))
    assert not scene.image[scene.alpha == 0].any()
    assert (scene.image <= scene.alpha[..., None].astype(int) + 2).all()


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"type": "Harmonise"}, "Did you mean 'Harmonize'"),
        ({"type": "Harmonize", "strenght": 1}, "Did you mean 'strength'"),
        ({"type": "Harmonize", "strength": 2}, "`strength` must be"),
        ({"type": "CastShadow", "ground": 0}, "`ground` must be"),
        ({"type": "ContactShadow", "softness": 0}, "`softness` must be"),
        ({"type": "EdgeFeather", "sigma": -1}, "`sigma` must be"),
        ({"type": "JpegMatch", "quality": (90, 20)}, "`quality` must be"),
        ({"type": "AreaWeightedBlend", "relighter": Tint(0), "low": 0.9, "high": 0.1}, "`low` must be"),
    ],
)
def test_steps_are_checked(config, match):
    with pytest.raises(ValueError, match=match):
        build_steps([config])


def test_light_is_checked():
    with pytest.raises(ValueError, match="`elevation`"):
        Light(0, 0)
    with pytest.raises(ValueError, match="`rng` must be"):
        compose(np.zeros((9, 9, 3), np.uint8), Layout((9, 9), ()), [], steps=build_steps(default_light()))
    lights = [Lighting((), np.random.default_rng(seed)).light for seed in range(50)]
    assert all(35 <= light.elevation <= 65 for light in lights)
    assert all(30 <= light.azimuth <= 150 for light in lights)
    np.testing.assert_allclose(np.linalg.norm(lights[0].direction), 1)
