"""One-step models as ONNX files give what the models give, and cut out through the tool."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from sos_mm.cutouts import OnnxCutter
from sos_mm.saliency import SODInferencer
from sos_mm.saliency.apis.export import OneStepModel, export_onnx, parity
from sos_mm.segments.cutter import Cutter
from tests.helpers.commands import run
from tests.saliency.apis.test_inferencer import noise_image, write_checkpoint
from tests.saliency.conftest import small_config

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def one_step(tmp_path_factory):
    """The small model with one step, its checkpoint and its ONNX file."""
    folder = tmp_path_factory.mktemp("export")
    config = small_config(folder, folder, **{"model.test_cfg.num_inference_steps": 1})
    (folder / "config.py").write_text(config.pretty_text)
    checkpoint = write_checkpoint(config, folder / "small.pth")
    inferencer = SODInferencer(config, checkpoint, device="cpu", show_progress=False)
    return folder, inferencer, export_onnx(inferencer.model, folder / "small.onnx", inferencer.input_size())


def test_parity(one_step):
    _, inferencer, path = one_step
    assert parity(inferencer.model, path) < 1e-3
    # And the map is one of the image: another image, another map.
    session = runtime.InferenceSession(str(path))
    rng = np.random.default_rng(1)
    first, second = (session.run(None, {"image": rng.random((1, 3, 64, 64), np.float32)})[0] for _ in range(2))
    assert first.shape == (1, 1, 64, 64)
    assert np.abs(first - second).max() > 0.01


def test_parity_tells_another_model(one_step):
    _, inferencer, path = one_step
    torch.manual_seed(5)
    assert parity(MODELS.build(inferencer.config.model).eval(), path) > 1e-3


def test_the_cutter_gives_the_inferencers_map(one_step):
    """At the model's own size, where nothing is resized; noise of an empty file name, which is part of the file."""
    _, inferencer, path = one_step
    cutter = OnnxCutter(path, threads=1)
    assert isinstance(cutter, Cutter)
    image = noise_image(64, 64)
    with torch.no_grad():
        wanted = OneStepModel(inferencer.model)(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0, 0].numpy()
    assert np.abs(cutter.saliency(image) - wanted).max() < 1e-3
    assert cutter.cut(noise_image(30, 77)).shape == (30, 77)


def test_exporting_changes_no_model(one_step):
    _, inferencer, _ = one_step
    assert not any(module.training for module in inferencer.model.modules())


@pytest.mark.parametrize("key", ["num_inference_steps", "ensemble_size"])
def test_several_steps_or_members_are_refused(one_step, tmp_path, key):
    _, inferencer, _ = one_step
    model = MODELS.build(
        {**inferencer.config.model, "test_cfg": {"num_inference_steps": 1, "ensemble_size": 1, key: 2}}
    )
    with pytest.raises(ValueError, match=rf"`test_cfg\.{key}` is 2: set `model\.test_cfg\.{key}=1`"):
        export_onnx(model, tmp_path / "x.onnx", (64, 64))
    assert not list(tmp_path.iterdir())


def test_tools(one_step, tmp_path):
    """Export, then cut images, a folder and a video out by the file and by the checkpoint."""
    folder, _, _ = one_step
    out = tmp_path / "again.onnx"
    done = run(["export_onnx.py", folder / "config.py", folder / "small.pth", out, "--test-cfg", "steps=1"])
    assert (done.code, done.raised) == (0, ""), done.err[-2000:]
    assert "differs from the model by at most" in done.out
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        cv2.imwrite(str(photos / f"{index}.png"), noise_image(40, 50 + index, index))
    (photos / "torn.png").write_bytes(b"torn")
    clip = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for index in range(2):
        clip.write(noise_image(48, 64, index))
    clip.release()
    models = {
        "onnx": ["--onnx", out],
        "model": ["--config", folder / "config.py", "--checkpoint", folder / "small.pth", "--batch-size", 2],
    }
    for name, options in models.items():
        inputs = (photos, tmp_path / "clip.mp4", tmp_path / name)
        done = run(["cutout.py", *inputs, *options, "--broken", "skip"])
        assert (done.code, done.raised) == (0, ""), done.err[-2000:]
        assert "5 cut out; left out: 1 cannot be decoded" in done.out
        assert "torn.png" in done.err
        assert "4/4 images" in done.err
        assert "2/2 frames" in done.err
        written = {file.relative_to(tmp_path / name).as_posix() for file in (tmp_path / name).rglob("*.*")}
        names = ["0", "1", "2", "clip/000000", "clip/000001"]
        images = {f"{kind}/{each}.png" for kind in ("saliency", "cutout", "overlay") for each in names}
        assert written == images | {"overlay/clip.mp4"}
        assert cv2.imread(str(tmp_path / name / "cutout/1.png"), cv2.IMREAD_UNCHANGED).shape == (40, 51, 4)
    done = run(["cutout.py", photos, tmp_path / "x", "--onnx", out])
    assert done.code == 2
    assert "error: The image" in done.line
    assert "torn.png" in done.line
    done = run(["cutout.py", photos, tmp_path / "x"])
    assert done.code == 2
    assert "--checkpoint" in done.line
