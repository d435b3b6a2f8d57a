"""Backgrounds out of photographs: their pixels, scaling, colours, and what they refuse."""

import pickle
import sys

import cv2
import numpy as np
import pytest

from sos_mm.composition import Photo, PhotoBackgrounds, sample_backgrounds
from sos_mm.composition.backgrounds.photographs import _shift_colors
from sos_mm.images import read_image
from sos_mm.segments.sample import SAMPLE_FOLDER


def test_backgrounds(photos, rng):
    backgrounds = PhotoBackgrounds.from_folder(photos)
    for size in ((50, 60), (60, 50), (300, 100), (1, 1)):
        image = backgrounds.sample(rng, size)
        assert image.shape == (*size, 3)
        assert image.dtype == np.uint8
    first, second = (backgrounds.sample(np.random.default_rng(7), (40, 40)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    images = {backgrounds.sample(rng, (40, 40)).tobytes() for _ in range(20)}
    assert len(images) == 20


def test_backgrounds_are_the_photograph(photos, rng):
    """Without any variation, a background of the photograph's own size is the photograph, in RGB."""
    photo = photos / "0.png"
    still = {"crop": (1, 1), "flip": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    image = PhotoBackgrounds([Photo(photo)], **still).sample(rng, (120, 200))
    np.testing.assert_array_equal(image, cv2.imread(str(photo))[..., ::-1])
    part = PhotoBackgrounds([Photo(photo, (10, 20, 60, 50))], **still).sample(rng, (30, 50))
    np.testing.assert_array_equal(part, image[20:50, 10:60])


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.3, 5.0])
def test_backgrounds_are_scaled_down_by_areas(tmp_path, rng, factor):
    """Nothing of a fine pattern is passed over, and a coarse one stays where it was."""
    size = (round(120 * factor), round(200 * factor))
    still = {"crop": (1, 1), "flip": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    noise, coarse = rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.random((12, 20, 3)).astype(np.float32) * 255
    coarse = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    for name, pixels in (("noise", noise), ("coarse", coarse)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels[..., ::-1])
        image = PhotoBackgrounds([Photo(tmp_path / f"{name}.png")], **still).sample(rng, (120, 200)).astype(int)
        exact = cv2.resize(pixels, (200, 120), interpolation=cv2.INTER_AREA)
        if name == "coarse":
            assert np.abs(image - exact).mean() < 1
        # Pixels that were passed over would leave noise as strong as it was, three times what the means have of 5x5.
        assert image.std() < 1.3 * exact.std()


def test_backgrounds_refuse(photos, tmp_path, rng):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        PhotoBackgrounds.from_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="but there is none"):
        PhotoBackgrounds.from_folder(tmp_path / "empty")
    with pytest.raises(ValueError, match="at least one photograph"):
        PhotoBackgrounds([])
    for options in ({"crop": (0, 1)}, {"crop": (0.9, 0.5)}, {"hue": -1}, {"flip": 2}, {"max_enlargement": 0.5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            PhotoBackgrounds.from_folder(photos, **options)
    with pytest.raises(ValueError, match=r"0\.png \(200x120\)"):
        PhotoBackgrounds([Photo(photos / "0.png", (0, 0, 201, 10))]).sample(rng, (5, 5))
    (photos / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"0\.png"):
        PhotoBackgrounds([Photo(photos / "0.png")]).sample(rng, (5, 5))


@pytest.mark.skipif(not (SAMPLE_FOLDER / "backgrounds.json").exists(), reason="the bundled sample is not there")
def test_sample_backgrounds(rng):
    pytest.importorskip("skimage")
    for photo in sample_backgrounds("all").photos:
        assert photo.read().size
    assert sample_backgrounds("held_out").sample(rng, (64, 64)).shape == (64, 64, 3)


def test_sample_backgrounds_say_what_they_need(monkeypatch):
    if not (SAMPLE_FOLDER / "backgrounds.json").exists():
        pytest.skip("the bundled sample is not there")
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r"pip install 'sos_mm\[sample\]'"):
        sample_backgrounds("train")


def test_background_colours_are_shifted_as_said():
    """Hue and saturation leave grey and brightness alone; half a turn of the hue gives the complement."""
    grey = np.full((4, 4, 3), 100, np.uint8)
    np.testing.assert_array_equal(_shift_colors(grey, 0, 0, 0.25, 12), grey)
    np.testing.assert_array_equal(_shift_colors(grey, 0.2, 0, 0, 0), 120)
    np.testing.assert_array_equal(_shift_colors(grey, 0, 0.5, 0, 0), 86)
    colors = np.array([[[150, 90, 90], [90, 110, 140]]], np.uint8)
    np.testing.assert_array_equal(_shift_colors(colors, 0, 0, 0, 0), colors)
    for saturation, hue in ((0.5, 0), (-0.5, 0), (0, 40), (0, 180)):
        shifted = _shift_colors(colors, 0, 0, saturation, hue).astype(float)
        np.testing.assert_allclose(shifted @ (0.299, 0.587, 0.114), colors @ (0.299, 0.587, 0.114), atol=1)
    opposite = _shift_colors(colors, 0, 0, 0, 180).astype(float) + colors
    np.testing.assert_allclose(opposite, (colors @ (0.299, 0.587, 0.114))[..., None].repeat(3, 2) * 2, atol=2)
    # A little turn takes red towards yellow, as hues are counted.
    assert np.diff(_shift_colors(colors, 0, 0, 0, 20)[0, 0, 1:].astype(int))[0] < 0


def test_photographs_are_cached_up_to_a_limit_and_not_sent_along(photos, rng, monkeypatch):
    read, decoded = Photo.read, []
    monkeypatch.setattr(Photo, "read", lambda photo: decoded.append(photo.path.name) or read(photo))
    size = read_image(photos / "0.png", 3).nbytes
    backgrounds = PhotoBackgrounds([Photo(photos / "0.png")], cache_bytes=size)
    for _ in range(2):
        backgrounds.sample(rng, (20, 20))
    assert decoded == ["0.png"]
    packed = pickle.dumps(backgrounds)
    assert len(packed) < size
    pickle.loads(packed).sample(rng, (20, 20))
    assert decoded == ["0.png"] * 2
    tight = PhotoBackgrounds([Photo(photos / "0.png")], cache_bytes=size - 1)
    for _ in range(2):
        tight.sample(rng, (20, 20))
    assert decoded == ["0.png"] * 4
