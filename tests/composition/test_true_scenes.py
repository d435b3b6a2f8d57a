"""Scenes made with every operation that changes pixels: no word contradicts its object, by an independent checker."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from sos_mm.composition import Relighter, build_layout, build_steps, compose, default_light, register_relighter
from sos_mm.composition import compositor as compositor_module
from sos_mm.segments import Segment, SegmentBank
from sos_mm.segments.words import Words
from tests.composition.word_checker import contradictions

CANVAS = (160, 160)
COLORS = {
    "red": (210, 25, 25), "orange": (250, 140, 15), "yellow": (240, 225, 30), "green": (35, 170, 50),
    "cyan": (20, 215, 215), "blue": (25, 50, 220), "purple": (145, 35, 215), "pink": (250, 110, 190),
    "brown": (110, 65, 25), "black": (20, 20, 22), "grey": (128, 128, 130), "white": (250, 250, 248),
}  # fmt: skip


@register_relighter
@dataclass(frozen=True)
class OtherColors:
    """Red becomes blue."""

    def relight(self, image, alpha, light, rng):
        return np.ascontiguousarray(image[..., ::-1])


@register_relighter
@dataclass(frozen=True)
class Floodlight:
    """All is bleached."""

    def relight(self, image, alpha, light, rng):
        return cv2.addWeighted(image, 0.3, image, 0, 175)


@register_relighter
@dataclass(frozen=True)
class Dusk:
    """All is dark and blue."""

    def relight(self, image, alpha, light, rng):
        return np.rint(image * (0.2, 0.25, 0.5)).astype(np.uint8)


def lit_by(*configs) -> list[dict]:
    every = [
        *default_light(),
        {"type": "PoissonBlend"},
        {"type": "DepthOfField", "strength": 0.05},
        {"type": "JpegMatch"},
    ]
    return [*every, *configs]


def blend(relighter: str, **options) -> dict:
    weights = {"low": 0.0, "high": 0.6, **options}
    return {"type": "AreaWeightedBlend", "relighter": {"type": relighter}, **weights}


LIGHTS = [
    [],
    lit_by(),
    lit_by({**blend("GradientRelighter"), "relighter": {"type": "GradientRelighter", "strength": 1.0, "warmth": 1.0}}),
    lit_by({"type": "PoissonBlend", "strength": 1.0, "limit": 255}, {"type": "Harmonize", "strength": 1, "chroma": 1}),
    lit_by(blend("OtherColors")),
    lit_by(blend("Floodlight", chroma="original")),
    lit_by(blend("Dusk", high=0.3)),
    [blend("OtherColors", low=0.0, high=0.0)],
]


def uneven(color, height=60, width=40, alpha=255) -> np.ndarray:
    """An L with a hook: other in a mirror, and when turned."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[:, : width // 3] = rgba[-height // 4 :, :] = (*color, alpha)
    rgba[-height // 2 :, -width // 5 :] = (*color, alpha)
    return rgba


def halves(one, other) -> np.ndarray:
    rgba = uneven(one)
    rgba[30:, :, :3] = other
    return rgba


def plain(color) -> np.ndarray:
    rgba = np.zeros((50, 50, 4), np.uint8)
    cv2.circle(rgba, (25, 25), 22, (*color, 255), -1)
    return rgba


def made_bank() -> list[Segment]:
    """Cut-outs of known colours and shapes, whose words are true."""
    segments = []

    def add(rgba, category, phrase, attributes=(), sub_category="", description=""):
        number = f"{category}/{len(segments)}"
        segments.append(Segment(rgba, category, sub_category, phrase, description, tuple(attributes), number))

    for name, color in COLORS.items():
        article = "an" if name[0] in "aeiou" else "a"
        sentence = f"{article.capitalize()} {name} ball on its own."
        add(plain(color), "ball", f"{article} {name} ball", [name, "round"], f"{name}_ball", sentence)
        add(uneven(color), "hook", f"{article} {name} hook pointing left", [name])
    add(uneven(COLORS["red"]), "left_shoe", "a shoe")
    add(uneven(COLORS["blue"]), "arrow", "a blue arrow that turns clockwise")
    add(uneven(COLORS["white"]), "panel", 'a white panel with the word "STOP"')
    add(uneven(COLORS["yellow"]), "sign", "")
    add(uneven(COLORS["green"], 70, 24), "bottle", "an upright green bottle", ["green", "upright"])
    add(uneven(COLORS["brown"], 70, 24), "pole", "a leaning brown pole")
    add(uneven((25, 35, 90)), "box", "a dark blue box", ["dark blue"])
    add(uneven((255, 200, 215)), "cup", "a pale pink cup", ["pale pink"])
    add(uneven((255, 240, 60)), "star", "a bright yellow star", ["bright"])
    add(halves(COLORS["red"], COLORS["white"]), "mug", "a red and white mug", ["red", "white"])
    add(halves(COLORS["black"], COLORS["orange"]), "cat", "an orange cat with black paws", ["orange", "black-pawed"])
    add(plain(COLORS["orange"]), "orange", "a ripe orange", ["orange"])
    add(uneven(COLORS["white"], alpha=140), "veil", "a white veil")
    add(uneven(COLORS["red"]), "ball", "a ball in sharp focus")
    return segments


def sample_bank() -> list[Segment]:
    bank = SegmentBank.sample_bank()
    return [bank.load(index) for index in range(0, len(bank), 3)]


def scenes(segments, number, seed=0):
    """Scenes of distinct segments on backgrounds of any colour, or none, in all lights."""
    depths = (1.0, 1.5, 3.0)
    for index in range(number):
        rng = np.random.default_rng((seed, index))
        prior = build_layout({"type": "StructuredLayout", "flip": 0.5, "rotation": 180.0, "hue": 0.5, "counts": (6, 6),
                              "crowded": "fewer"})  # fmt: skip
        drawn = [segments[place] for place in rng.choice(len(segments), 6, replace=False)]
        layout = prior.plan(rng, drawn, CANVAS)
        placements = [compositor_module.replace(each, depth=depths[place % 3])
                      for place, each in enumerate(layout.placements)]  # fmt: skip
        layout = compositor_module.replace(layout, placements=tuple(placements))
        ground = cv2.resize(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8), CANVAS, interpolation=cv2.INTER_CUBIC)
        light = LIGHTS[index % len(LIGHTS)]
        bare = index % 11 == 10
        scene = compose(None if bare else ground, layout, drawn, steps=build_steps(light), rng=rng)
        known = {each.source_id: each for each in drawn}
        places = {drawn[each.segment].source_id: each for each in placements}
        foreign = any(step.get("relighter", {}).get("type") in ("OtherColors", "Floodlight", "Dusk") for step in light)
        yield scene, known, places, foreign


def faults(segments, number) -> tuple[Counter, list]:
    found = []
    for scene, known, places, foreign in scenes(segments, number):
        found += contradictions(scene, known, places, foreign)
    return Counter(kind for kind, _, _ in found), found


@pytest.mark.parametrize("number", [64, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bank", [made_bank, sample_bank])
def test_no_word_contradicts_its_object(bank, number):
    _, found = faults(bank(), number)
    assert found == []


def test_the_checker_finds_false_words(monkeypatch):
    """Without the care that is taken there are many of each kind, so the test above can fail."""

    class Careless:
        def __init__(self, *_):
            pass

        def true_words(self, seen):
            return [Words.of(segment) for segment, _, _ in seen]

    monkeypatch.setattr(compositor_module, "WordCheck", Careless)
    monkeypatch.setattr(compositor_module, "carry_out", lambda planned, segment: (planned, segment))
    counts, _ = faults(made_bank(), 64)
    assert set(counts) == {"side", "text", "posture", "tone", "text or focus"}
    assert min(counts.values()) >= 5


def test_words_that_hold_are_kept():
    """Most words outlive the usual light, and nothing is dropped where nothing changes pixels."""
    kept = total = 0
    for index, segment in enumerate(made_bank()):
        rng = np.random.default_rng(index)
        layout = build_layout(
            {
                "type": "StructuredLayout",
                "flip": 0.0,
                "counts": (1, 1),
                "shares": {"large": 1.0, "medium": 0.0, "small": 0.0},
            }
        ).plan(rng, [segment], CANVAS)
        ground = np.full((*CANVAS, 3), 140, np.uint8)
        plainly = compose(ground, layout, [segment])
        assert all(Words.of(each) == Words.of(segment) for each in plainly.objects if segment.category != "veil")
        lit = compose(ground, layout, [segment], steps=build_steps(["default"]), rng=rng)
        kept += sum(Words.of(each) == Words.of(segment) for each in lit.objects)
        total += len(lit.objects)
    assert kept / total > 0.8


def test_relighters_of_the_test_are_relighters():
    assert all(isinstance(each(), Relighter) for each in (OtherColors, Floodlight, Dusk))
