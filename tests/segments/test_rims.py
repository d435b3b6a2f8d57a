"""Soft edges and the object's own colours at the rim: on composites whose foreground is known."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.segments import SegmentBank, SegmentRecord, build_index, rims
from sos_mm.segments.foreground import put_on
from sos_mm.segments.rims import cut_out, own_colors, soft_alpha

FRONT, BACK = np.array([200.0, 120, 60]), np.array([40.0, 90, 190])


def disc(radius, size=200):
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), radius, 1, -1)
    return mask


def composite(mask, rng, blur=0.7, texture=8.0):
    """An object of a mask on a background, both noisy: the image, and the object alone, (H, W, 3) uint8."""
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), blur)[..., None]
    front, back = (np.clip(color + rng.normal(0, texture, (*mask.shape, 3)), 0, 255) for color in (FRONT, BACK))
    return np.rint(front * alpha + back * (1 - alpha)).astype(np.uint8), np.rint(front).astype(np.uint8)


def packed(mask):
    """A mask as run lengths of COCO's uncompressed kind."""
    columns = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(columns, prepend=0, append=0))
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, mask.size]).tolist()}


def background_share(colors, where):
    """Mean share of the old background in colours, by their way from one known colour to the other."""
    across = BACK - FRONT
    return float(np.clip((colors[where] - FRONT) @ across / (across @ across), 0, 1).mean())


def band(mask, width):
    return (mask > 0) & (cv2.distanceTransform(mask, cv2.DIST_L2, 5) <= width)


@pytest.mark.parametrize("loose", [0, 1, 2, 3])
def test_rims_get_the_object_s_colours(rng, loose):
    """However loose the outline is, little of the old background is left, and the truth is not far."""
    true, annotated = disc(50), disc(50 + loose)
    image, front = composite(true, rng)
    rgba = cut_out(image, packed(annotated), None, True, "it")
    before = cut_out(image, packed(annotated), 0, False, "it")
    rim = band(annotated, 3)
    size = np.array(rgba.shape[:2]) - np.array(before.shape[:2])
    margin = (size // 2).tolist()
    top, left = (100 - 50 - loose - 1 - each for each in margin)
    shown = np.s_[top : top + rgba.shape[0], left : left + rgba.shape[1]]
    np.testing.assert_array_equal(rgba[..., 3] >= 128, annotated[shown] > 0)
    had, has = background_share(image.astype(float), rim), background_share(rgba[..., :3].astype(float), rim[shown])
    assert has < 0.12
    assert had > (0.2, 0.3, 0.5, 0.8)[loose] or loose == 0
    error = np.abs(rgba[..., :3].astype(float) - front[shown])[rim[shown]].mean()
    naive = np.abs(image.astype(float) - front)[rim].mean()
    assert error < max(naive / 2, 12)


def test_nothing_deeper_than_two_rims_is_changed(rng):
    mask = disc(60)
    image, _ = composite(disc(55), rng)
    colors = own_colors(image, mask, soft_alpha(mask, 1.0), 3.0)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    np.testing.assert_array_equal(colors[depth > 6], image[depth > 6])
    transparent = soft_alpha(mask, 1.0) == 0
    np.testing.assert_array_equal(colors[transparent], image[transparent])
    assert not np.array_equal(colors, image)
    # Two pixels of background beyond the rim are found, since they go on from outside.
    had, has = (background_share(each.astype(float), band(mask, 5)) for each in (image, colors))
    assert has < 0.1 < 0.8 < had


def test_what_looks_like_the_inside_is_kept(rng):
    """An outline well inside the object, and a background of the object's colour, leave all as it is."""
    image = np.clip(FRONT + rng.normal(0, 3, (200, 200, 3)), 0, 255).astype(np.uint8)
    mask = disc(50)
    np.testing.assert_allclose(own_colors(image, mask, soft_alpha(mask, 1.0), 2.0), image.astype(float), atol=1)
    other, _ = composite(disc(60), rng, texture=3.0)
    changed = np.abs(own_colors(other, mask, soft_alpha(mask, 1.0), 2.0).astype(int) - other)
    assert changed.max() <= 2


def test_marks_of_the_object_s_own_are_kept(rng):
    """A white border, as of a sign, is neither inside nor background."""
    mask = disc(50)
    image, _ = composite(mask, rng, blur=0.3)
    border = band(mask, 2)
    image[border] = (250, 250, 250)
    alpha = soft_alpha(mask, 0.5)
    np.testing.assert_array_equal(own_colors(image, mask, alpha, 2.0)[border], image[border])


def test_put_back_on_its_own_photograph(rng):
    """With the true outline the photograph changes little at the rim, and nowhere else."""
    mask = disc(50)
    image, _ = composite(mask, rng)
    rgba = np.dstack([own_colors(image, mask, soft_alpha(mask, 0.5), 2.0), soft_alpha(mask, 0.5)])
    change = np.abs(put_on(rgba, image.astype(np.float32)).astype(int) - image).mean(2)
    rim = band(mask, 2)
    assert change[rim].mean() < 25  # Of the 76 that are between the colours: the outermost pixels are half background.
    assert change[mask > 0].mean() < 2
    assert change[(cv2.distanceTransform(mask, cv2.DIST_L2, 5) > 5) | (soft_alpha(mask, 0.5) == 0)].max() == 0


def test_thin_things_stay_what_they_are(rng):
    """Strokes of one to five pixels keep their colour along their middle; a thin leg is not that of the body."""
    for width in (1, 2, 3, 4, 5):
        mask = np.zeros((60, 120), np.uint8)
        mask[30 : 30 + width, 10:110] = 1
        image = np.where(mask[..., None] > 0, np.uint8(FRONT), np.uint8(BACK))
        alpha = soft_alpha(mask, 0.5)
        np.testing.assert_array_equal(own_colors(image, mask, alpha, 2.0)[mask > 0], image[mask > 0])
        np.testing.assert_array_equal(alpha >= 128, mask > 0)
    mask = disc(40)
    mask[100:105, 10:70] = 1
    image = np.where(mask[..., None] > 0, np.uint8(FRONT), np.uint8(BACK))
    leg = np.s_[100:105, 12:45]
    image[leg] = (20, 20, 20)
    assert np.abs(own_colors(image, mask, soft_alpha(mask, 0.5), 3.0)[leg].astype(int) - 20).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3)])
def test_an_object_that_fills_its_photograph(rng, shape):
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    for decontaminate in (True, False):
        rgba = cut_out(image, packed(np.ones(shape, np.uint8)), None, decontaminate, "it")
        np.testing.assert_array_equal(rgba[..., :3], image)
        assert (rgba[..., 3] == 255).all()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 49), st.integers(1, 25), st.integers(1, 25)), min_size=1),
    st.sampled_from([None, 0, 0.5, 2.0]),
    st.booleans(),
    st.integers(0, 99),
)
def test_the_mask_is_the_annotation_s(boxes, soften, decontaminate, seed):
    """Alpha is at least 128 on the mask's pixels, and on no others, whatever is softened and replaced."""
    mask = np.zeros((50, 60), np.uint8)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = 1
    image = np.random.default_rng(seed).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    rgba = cut_out(image, packed(mask), soften, decontaminate, "it")
    solid = (rgba[..., 3] >= 128).astype(np.uint8)
    (x, y, width, height), (left, top, *size) = cv2.boundingRect(mask), cv2.boundingRect(solid)
    assert size == [width, height]
    np.testing.assert_array_equal(solid[top : top + height, left : left + width], mask[y : y + height, x : x + width])
    if not decontaminate:
        part = np.s_[y - top : y - top + rgba.shape[0], x - left : x - left + rgba.shape[1]]
        np.testing.assert_array_equal(rgba[..., :3], image[part])
    if soften == 0:
        assert set(np.unique(rgba[..., 3])) <= {0, 255}


def test_soft_edge_keeps_the_mask():
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15] = 1
    mask[2, 2] = 1
    np.testing.assert_array_equal(soft_alpha(mask, 2.0) >= 128, mask == 1)
    levels = np.unique(soft_alpha(mask, 2.0))
    assert set(levels) - {0, 255}, "the edge has no soft pixel"
    assert set(np.unique(soft_alpha(mask, 0))) == {0, 255}


def test_edges_and_rims_grow_with_the_object(rng):
    """Softer for large objects than for small ones, within limits; a given softness is the same for all."""

    def soft(radius, soften):
        size = 2 * radius + 60
        image = np.full((size, size, 3), 128, np.uint8)
        alpha = cut_out(image, packed(disc(radius, size)), soften, False, "it")[..., 3]
        return np.count_nonzero((alpha > 8) & (alpha < 247)) / (2 * np.pi * radius)

    assert soft(10, None) < 0.6 * soft(300, None) <= 1.1 * soft(300, rims._EDGE_LIMITS[1])
    assert soft(30, 1.5) == pytest.approx(soft(200, 1.5), rel=0.15)
    assert soft(200, 0) == 0


def test_the_index_keeps_how_it_is_cut(tmp_path, rng):
    image, _ = composite(disc(50), rng)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    ways = [(None, True), (None, False), (0.0, True), (1.5, False)]
    first = SegmentRecord(str(tmp_path / "a.png"), "disc", "", "", "", (), "a", outline=json.dumps(packed(disc(52))))
    records = [replace(first, soften=soften, decontaminate=clean) for soften, clean in ways]
    assert len({SegmentBank([record]).fingerprint for record in records}) == len(ways)
    records = [replace(record, source_id=f"a/{place}") for place, record in enumerate(records)]
    build_index(records, tmp_path / "b.arrow", progress=False)
    indexed = SegmentBank.from_index(tmp_path / "b.arrow")
    assert [(record.soften, record.decontaminate) for record in indexed.records] == ways
    for place, record in enumerate(records):
        np.testing.assert_array_equal(indexed.load(place).rgba, record.read().rgba)
