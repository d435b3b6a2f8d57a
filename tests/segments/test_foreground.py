"""Foreground colours at soft edges, against composites whose foreground is known."""

import cv2
import numpy as np
import pytest

from sos_mm import cutouts
from sos_mm.cutouts import foreground as old_place
from sos_mm.segments import foreground
from sos_mm.segments.foreground import cut_out, estimate_foreground, put_on


def composite(rng, height=160, width=200, softness=6.0):
    """(image, alpha, foreground, background): a disc of smooth colour over another smooth colour."""
    rows, columns = np.mgrid[:height, :width]
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, (width // 2, height // 2), min(height, width) // 3, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), softness)

    def smooth(base):
        waves = [base[c] + 15 * np.sin(rows / 30 + c) + 15 * np.cos(columns / 40 - c) for c in range(3)]
        return np.clip(np.stack(waves, 2), 0, 255)

    front, back = smooth(rng.uniform(150, 220, 3)), smooth(rng.uniform(30, 90, 3))
    weight = alpha[..., None] / 255
    image = np.rint(front * weight + back * (1 - weight)).astype(np.uint8)
    return image, alpha, front, back


def test_cut_outs_of_photographs_use_the_same():
    assert (cutouts.cut_out, cutouts.estimate_foreground) == (cut_out, estimate_foreground)
    for name in old_place.__all__:
        assert getattr(old_place, name) is getattr(foreground, name)


def error(estimate, truth, where):
    return np.abs(estimate.astype(float) - truth)[where].mean()


@pytest.mark.parametrize("softness", [1.0, 3.0, 8.0])
def test_the_known_foreground_is_found(rng, softness):
    image, alpha, front, _ = composite(rng, softness=softness)
    visible = (alpha > 16) & (alpha < 255)
    naive = error(image, front, visible)
    found = error(estimate_foreground(image, alpha), front, visible)
    assert naive > 20
    assert found < naive / 6


def test_no_fringe_on_another_background(rng):
    """The cut-out on a new background is nearly what a composite of the true foreground is."""
    image, alpha, front, _ = composite(rng)
    new = np.array([20, 200, 240], np.float32)
    weight = alpha[..., None] / 255
    truth = front * weight + new * (1 - weight)
    soft = (alpha > 0) & (alpha < 255)
    naive = error(put_on(np.dstack([image, alpha]), new), truth, soft)
    assert error(put_on(cut_out(image, alpha), new), truth, soft) < naive / 5


def test_noise_in_the_image_stays_bounded(rng):
    image, alpha, front, _ = composite(rng)
    noisy = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    visible = (alpha > 64) & (alpha < 255)
    assert error(estimate_foreground(noisy, alpha), front, visible) < 8


def test_what_is_opaque_or_transparent_keeps_its_colours(rng):
    image = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 255, 100], np.uint8), (70, 90), p=[0.45, 0.45, 0.1])
    found = estimate_foreground(image, alpha)
    assert np.array_equal(found[alpha != 100], image[alpha != 100])
    assert not np.array_equal(found, image)
    rgba = cut_out(image, alpha)
    assert not rgba[alpha == 0].any()
    assert np.array_equal(rgba[alpha == 255, :3], image[alpha == 255])
    assert np.array_equal(rgba[..., 3], alpha)


def test_tiles_give_what_the_whole_gives(rng, monkeypatch):
    image, alpha, _, _ = composite(rng, 230, 310)
    monkeypatch.setattr(foreground, "_TILE", 1000)
    whole = estimate_foreground(image, alpha)
    monkeypatch.setattr(foreground, "_TILE", 64)
    # Sums of a window begin elsewhere in a tile: the last bit of a float may differ.
    assert np.abs(estimate_foreground(image, alpha).astype(int) - whole).max() <= 1


def blur_fusion(image, alpha, radii):
    """The method as it is written: whole images, three channels at once."""
    weight = (alpha / np.float32(255))[..., None].astype(np.float32)

    def mean(values, share, window):
        total = cv2.blur(share, window, borderType=cv2.BORDER_REPLICATE)[..., None]
        return cv2.blur(values * share, window, borderType=cv2.BORDER_REPLICATE) / np.maximum(total, 1e-5)

    image = image.astype(np.float32)
    front = back = image
    for radius in radii:
        window = (2 * radius + 1,) * 2
        front_mean, back = mean(front, weight, window), mean(back, 1 - weight, window)
        mixed = weight * front_mean + (1 - weight) * back
        front = np.clip(front_mean + weight * (image - mixed), 0, 255)
    return np.rint(front).astype(np.uint8)


@pytest.mark.parametrize("softness", [1.0, 6.0])
def test_tiles_and_planes_give_what_the_method_says(rng, monkeypatch, softness):
    """With margins that shrink from pass to pass, at the image's borders too."""
    image, alpha, _, _ = composite(rng, 150, 210, softness)
    image, alpha = (np.ascontiguousarray(each[20:, 40:]) for each in (image, alpha))
    monkeypatch.setattr(foreground, "_TILE", 48)
    soft = (alpha > 0) & (alpha < 255)
    found = estimate_foreground(image, alpha, (30, 9, 2))
    difference = found.astype(int) - blur_fusion(image, alpha, (30, 9, 2))
    assert soft.sum() > 1000
    assert np.abs(difference[soft]).max() <= 1
    assert np.abs(difference[soft]).mean() < 0.001
    assert np.array_equal(found[~soft], image[~soft])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (600, 2)])
@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_odd_shapes(rng, shape, value):
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    rgba = cut_out(image, np.full(shape, value, np.uint8))
    assert rgba.shape == (*shape, 4)
    if value == 255:
        assert np.array_equal(rgba[..., :3], image)


@pytest.mark.parametrize(
    ("image", "alpha", "message"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "`image` must be uint8 of shape"),
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), "float32"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), r"`alpha` must be uint8 of shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), "bool"),
    ],
)
def test_bad_input(image, alpha, message):
    with pytest.raises(ValueError, match=message):
        cut_out(image, alpha)
