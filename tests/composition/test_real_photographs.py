"""Composition of real cut-outs on real photographs: no halo, nearer tones."""

import cv2
import numpy as np
import pytest

from sos_mm.composition import Harmonize, Layout, Light, Placement, StructuredLayout, compose, sample_backgrounds
from sos_mm.composition.effects.step import Frame
from sos_mm.composition.place import place
from sos_mm.segments import Segment, SegmentBank
from tests.composition.test_light import lab_gaps

pytest.importorskip("skimage", reason="the bundled sample of backgrounds is scikit-image's")


def analytic(segment: Segment, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) and (h, w, 1) float64 premultiplied colour and alpha in [0, 1], scaled by area without rounding."""
    rgba = segment.rgba.astype(np.float64) / 255
    layers = np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]])
    scaled = cv2.resize(layers, (width, height), interpolation=cv2.INTER_AREA)
    return scaled[..., :3], scaled[..., 3:]


@pytest.mark.parametrize("ground", [0, 255])
def test_real_cutouts_have_no_halo(ground):
    """The same scene over black and over white is the analytic composite, to a grey level of its eight bits."""
    bank, rng = SegmentBank.sample_bank(), np.random.default_rng(0)
    edges = 0
    for index in bank.sample(rng, 60):
        segment = bank.load(index)
        scale = rng.uniform(0.3, 0.95)
        height, width = (max(round(side * scale), 4) for side in segment.size)
        layout = Layout((height + 20, width + 20), (Placement(0, (10, 10, 10 + width, 10 + height)),))
        scene = compose(np.full((*layout.canvas, 3), ground, np.uint8), layout, [segment])
        sprite = place(segment, layout.placements[0], layout.canvas)
        color, alpha = analytic(segment, *sprite.rgba.shape[:2])
        expected = np.full((*layout.canvas, 3), float(ground))
        expected[sprite.window] = 255 * color + ground * (1 - alpha)
        assert np.abs(scene.image - np.rint(expected)).max() <= 1, segment.source_id
        edges += np.count_nonzero((alpha > 0.02) & (alpha < 0.98))
    assert edges > 20_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ground", [0, 255])
def test_crowded_scenes_have_no_halo(seed, ground):
    """Twelve objects over each other: no rounding adds up to more than a grey level."""
    bank, rng = SegmentBank.sample_bank(), np.random.default_rng(seed)
    segments = [bank.load(index) for index in bank.sample(rng, 12)]
    layout = StructuredLayout(crowded="fewer").plan(rng, segments, (384, 384))
    scene = compose(np.full((384, 384, 3), ground, np.uint8), layout, segments)
    expected = np.full((384, 384, 3), float(ground))
    for item in scene.objects:
        sprite = place(segments[item.placement.segment], item.placement, layout.canvas)
        color, alpha = sprite.rgba[..., :3].astype(float), sprite.rgba[..., 3:] / 255
        expected[sprite.window] = color + expected[sprite.window] * (1 - alpha)
    assert len(scene.objects) > 5, "too few objects over each other"
    assert np.abs(scene.image - np.rint(expected)).max() <= 1


def test_harmonisation_brings_real_things_closer():
    """Nearly all come closer to what is around them, and none goes away from it."""
    bank, backgrounds = SegmentBank.sample_bank(), sample_backgrounds("all")
    rng = np.random.default_rng(0)
    before, after = [], []
    for index in bank.sample(rng, 80):
        ground = backgrounds.sample(rng, (256, 256))
        corner = rng.integers(0, 128, 2).tolist()
        sprite = place(bank.load(index), Placement(0, (*corner, corner[0] + 128, corner[1] + 128)), (256, 256))
        moved = Harmonize().retouch(sprite, Frame(ground, Light(0, 45)), rng)
        before.append(np.linalg.norm(lab_gaps(sprite, ground)))
        after.append(np.linalg.norm(lab_gaps(moved, ground)))
    before, after = np.array(before), np.array(after)
    assert (after <= before + 0.5).all()
    assert (after < before).mean() > 0.95
    # With restraint: objects keep most of what tells them apart.
    assert 0.6 < after.sum() / before.sum() < 0.9
