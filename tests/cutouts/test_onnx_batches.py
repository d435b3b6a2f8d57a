"""ONNX files with a batch axis of any size, and images that keep their aspect ratio."""

import cv2
import numpy as np
import pytest

from sos_mm.cli.cutout import main
from sos_mm.cutouts import OnnxCutter, build_cutter
from sos_mm.cutouts.onnx_cutter import resized
from tests.cutouts.test_cutting import U2NETP, needs_u2netp
from tests.faults.world import network

# The map of the network of tests is then the mean of the image's channels.
PLAIN = '{"mean": [0, 0, 0], "std": [1, 1, 1], "brightest": false, "stretch": false}'
SHAPES = [(40, 10), (10, 40), (16, 16), (1, 1), (300, 7), (33, 50)]


@pytest.fixture
def images(rng):
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def file_of(folder, batch, **changes):
    network(folder / f"{batch}.onnx", shape=[batch, 3, 16, 16], **changes)
    return folder / f"{batch}.onnx"


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("changes", [{}, {"metadata": PLAIN}])
def test_alphas_do_not_depend_on_the_batch(tmp_path, images, keep_aspect, changes):
    one = OnnxCutter(file_of(tmp_path, 1, **changes), keep_aspect=keep_aspect)
    many = OnnxCutter(file_of(tmp_path, "n", **changes), keep_aspect=keep_aspect)
    assert (one.takes_batches, many.takes_batches) == (False, True)
    singly = [one.cut(image) for image in images]
    assert [alpha.shape for alpha in singly] == SHAPES
    assert any(alpha.any() for alpha in singly)
    for together in (many.cut_batch(images), many.cut_batch(images[:4]) + many.cut_batch(images[4:])):
        for alpha, alone in zip(together, singly, strict=True):
            assert np.array_equal(alpha, alone)


def test_fixed_batch_axis_is_said(tmp_path, images, capsys):
    path = file_of(tmp_path, 1)
    with pytest.raises(ValueError, match=r"one image at a time, but got 6: .*--batch-size 1"):
        OnnxCutter(path).cut_batch(images)
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"photos/{index}.png"), image)
    found = {}
    for name, file, options, said in [
        ("fixed", path, ["--batch-size", "4"], True),
        ("any", file_of(tmp_path, "n"), ["--batch-size", "4"], False),
        ("one", path, [], False),
    ]:
        main([str(tmp_path / "photos"), str(tmp_path / name), "--onnx", str(file), *options])
        assert ("takes one image at a time" in capsys.readouterr().err) == said
        files = sorted((tmp_path / name).rglob("*.png"))
        found[name] = [(file.relative_to(tmp_path / name), file.read_bytes()) for file in files]
    assert len(found["one"]) == 18
    assert found["fixed"] == found["any"] == found["one"]


def test_results_among_the_images_are_refused(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), str(tmp_path / "results"), "--onnx", str(file_of(tmp_path, "n"))])
    assert ended.value.code == 2
    assert "error: The folder of results must lie outside the folders of images" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_results_named_as_images_and_images_as_results_are_refused(tmp_path, monkeypatch, capsys):
    """A single photograph may have its results beside it, and results may be made of results elsewhere."""
    photos, results, network = tmp_path / "photos", tmp_path / "results", str(file_of(tmp_path, "n"))
    for name in ("a.png", "dogs/b.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(photos / name), np.zeros((8, 8, 3), np.uint8))
    assert main([str(photos), str(results), "--onnx", network]) == 0
    before = sorted(photos.rglob("*"))
    for out in (photos, photos / "dogs"):
        with pytest.raises(SystemExit) as ended:
            main([str(results), str(out), "--onnx", network])
        assert ended.value.code == 2
        assert f"if the two are swapped, name {out} first" in capsys.readouterr().err
    assert sorted(photos.rglob("*")) == before
    for _ in range(2):
        assert main([str(results), str(tmp_path / "of_results"), "--onnx", network]) == 0
        assert main([str(photos), str(results), "--onnx", network]) == 0
    monkeypatch.chdir(photos)
    for _ in range(2):
        assert main(["a.png", ".", "--onnx", network]) == 0
        assert main(["dogs", ".", "--onnx", network]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--onnx", "x.onnx", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["--checkpoint", "x.pth", "--keep-aspect"], "--keep-aspect is for --onnx"),
    ],
)
def test_wrong_options(options, said, capsys):
    with pytest.raises(SystemExit):
        main(["in.jpg", "out", *options])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("shape", "inner"), [((40, 10), (16, 4)), ((10, 40), (4, 16)), ((300, 7), (16, 1))])
def test_kept_aspect(tmp_path, rng, shape, inner):
    """The map is that of the image resized to fit, whatever the padding."""
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    cutter = build_cutter(dict(type="OnnxCutter", path=str(file_of(tmp_path, 1, metadata=PLAIN)), keep_aspect=True))
    small = resized(image, inner).astype(np.float32) / 255
    assert np.abs(cutter.saliency(image) - resized(small.mean(axis=2), shape)).max() < 1e-6
    stretched = OnnxCutter(file_of(tmp_path, 1, metadata=PLAIN)).saliency(image)
    assert np.abs(cutter.saliency(image) - stretched).max() > 0.01
    square = rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    assert np.array_equal(cutter.saliency(square), OnnxCutter(file_of(tmp_path, 1, metadata=PLAIN)).saliency(square))


def test_keep_aspect_must_be_a_boolean(tmp_path):
    with pytest.raises(ValueError, match="keep_aspect"):
        OnnxCutter(file_of(tmp_path, 1), keep_aspect="yes")


@needs_u2netp
def test_u2netp_with_a_batch_axis_of_any_size(tmp_path, rng):
    import onnx

    model = onnx.load(str(U2NETP))
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, str(tmp_path / "any.onnx"))
    one, many = OnnxCutter(U2NETP), OnnxCutter(tmp_path / "any.onnx")
    images = [np.full((90, 120, 3), 220, np.uint8), np.full((60, 50, 3), 30, np.uint8)]
    cv2.circle(images[0], (60, 45), 25, (200, 40, 30), -1)
    cv2.rectangle(images[1], (10, 20), (30, 50), (90, 200, 40), -1)
    together = many.cut_batch(images)
    for alpha, image in zip(together, images, strict=True):
        assert (alpha > 128).any()
        assert np.array_equal(alpha, one.cut(image))
