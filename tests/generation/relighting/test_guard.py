"""The guard accepts a change of light and refuses objects that moved, vanished or lost their colour."""

import cv2
import numpy as np
import pytest

from sos_mm.composition import Light, build_relighter
from sos_mm.generation.relighting.guard import Guard, GuardedObject, gradient_magnitude, judge, outline_contrast
from sos_mm.segments.words import Words
from sos_mm.synthesis import Recipe, SceneMaker

RED = Words("ball", "", "a red ball", "", ())


@pytest.fixture(scope="module")
def scenes():
    """Composed images of the bundled sample with their objects."""
    recipe = Recipe(canvas=(256, 256), layout={"type": "StructuredLayout", "counts": (3, 8), "crowded": "fewer"})
    maker = SceneMaker(recipe, 0)
    return [maker.make(index) for index in range(8)]


def objects_of(scene):
    return [
        GuardedObject(scene.modal_mask(place)[y0:y1, x0:x1], (x0, y0), Words.of(each))
        for place, each in enumerate(scene.objects)
        for x0, y0, x1, y1 in [each.box]
    ]


def verdicts(scenes, change, **rules):
    rules = {"min_area": 300, "colors": 1.0, **rules}
    found = []
    for scene in scenes:
        relit = change(scene.image)
        found.append(judge(Guard(**rules), scene.image, relit, relit, objects_of(scene)))
    return found


def moved(pixels):
    return lambda image: np.roll(image, (pixels, pixels), (0, 1))


LIGHTS = {
    "darker": lambda image: (0.35 * image).astype(np.uint8),
    "warm": lambda image: (255 * (image / 255) ** 1.8 * (1, 0.8, 0.5)).astype(np.uint8),
    "gradient": lambda image: build_relighter({"type": "GradientRelighter", "strength": 0.8}).relight(
        image, None, Light(0, 45), np.random.default_rng(0)
    ),
    "softer": lambda image: cv2.GaussianBlur(image, (0, 0), 1.2),
}
DAMAGE = {
    "moved by 4": moved(4),
    "moved by 12": moved(12),
    "enlarged": lambda image: cv2.warpAffine(image, np.array([[1.12, 0, -15], [0, 1.12, -15]]), image.shape[1::-1]),
    "washed out": lambda image: cv2.GaussianBlur(image, (0, 0), 8),
    "noise": lambda image: np.random.default_rng(0).integers(0, 256, image.shape, np.uint8),
}


@pytest.mark.parametrize("name", LIGHTS)
def test_light_is_accepted(scenes, name):
    found = verdicts(scenes, LIGHTS[name])
    assert sum(each.judged for each in found) > 15
    assert all(each.accepted for each in found)
    assert sum(each.moved for each in found) <= 0.05 * sum(each.judged for each in found)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(scenes, name):
    found = [each for each in verdicts(scenes, DAMAGE[name]) if each.judged]
    assert len(found) >= 6
    assert not any(each.accepted for each in found)


def ball(color, size=80):
    image = np.full((size, size, 3), 120, np.uint8)
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (40, 40), 20, 1, -1)
    image[mask > 0] = color
    return image, mask.astype(bool)


@pytest.mark.parametrize(
    ("color", "lost"), [((150, 20, 20), 0), ((220, 90, 80), 0), ((30, 40, 210), 1), ((50, 50, 50), 1)]
)
def test_colour_words(color, lost):
    (before, mask), (after, _) = ball((210, 30, 30)), ball(color)
    for words, colored in ((RED, 1), (Words("ball", "", "a ball", "", ()), 0), (None, 0)):
        verdict = judge(Guard(), before, after, after, [GuardedObject(mask, (0, 0), words)])
        assert (verdict.colored, verdict.lost) == (colored, lost * colored)
        assert verdict.accepted == (verdict.lost == 0)
    # The colour counts in the final image, for example after a blend that keeps the original's.
    assert judge(Guard(), before, after, before, [GuardedObject(mask, (0, 0), RED)]).lost == 0


def test_outline_contrast_by_hand():
    """A step of 100 levels along the outline of a square, and nothing else."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:30, 10:30] = 100
    mask = np.ones((20, 20), bool)
    magnitude = gradient_magnitude(image)
    contrast = outline_contrast(magnitude, mask, (10, 10), 8)
    assert contrast > 4
    # The same without most of its contrast, and a window that is larger than the mask.
    padded = np.pad(mask, 5)
    assert outline_contrast(magnitude, padded, (5, 5), 8) == pytest.approx(contrast, rel=1e-6)
    assert outline_contrast(gradient_magnitude((0.3 * image).astype(np.uint8)), mask, (10, 10), 8) > 2
    # Beside the edge, and where there is none.
    assert outline_contrast(magnitude, mask[:12, :12], (14, 14), 8) < 1
    assert outline_contrast(np.zeros((40, 40), np.float32), mask, (10, 10), 8) == 1
    # A mask of the whole image has no outline.
    assert outline_contrast(magnitude, np.ones((40, 40), bool), (0, 0), 8) == pytest.approx(0, abs=1)


def test_rules_are_checked():
    for options in ({"min_edges": -1}, {"reach": 1}, {"moved_share": 2}, {"retries": -1}, {"min_area": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Guard(**options)
    with pytest.raises(ValueError, match="key of guard"):
        Guard.from_dict({"retry": 1})
    assert Guard.from_dict({"retries": 5}).retries == 5
