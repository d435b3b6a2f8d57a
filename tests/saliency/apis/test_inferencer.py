"""The inferencer gives what testing gives, whatever the images come as."""

import struct

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS
from PIL import Image

from sos_mm.cutouts import find_photographs
from sos_mm.errors import ErrorCollector
from sos_mm.saliency import SODInferencer
from sos_mm.segments.cutter import Cutter
from tests.saliency.conftest import small_config


def write_checkpoint(config, path, seed=0):
    torch.manual_seed(seed)
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta=dict(cfg=config.pretty_text)), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Config and checkpoint of the small model with an ensemble of two."""
    folder = tmp_path_factory.mktemp("inferencer")
    config = small_config(
        folder, folder, **{"model.test_cfg.num_inference_steps": 1, "model.test_cfg.ensemble_size": 2}
    )
    return config, write_checkpoint(config, folder / "small.pth")


@pytest.fixture(scope="module")
def inferencer(trained):
    return SODInferencer(*trained, device="cpu", show_progress=False)


def noise_image(height=50, width=70, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes, one in a folder below."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    for index, name in enumerate(["a.png", "b.png", "deep/a.png"]):
        cv2.imwrite(str(root / name), noise_image(40 + 10 * index, 60, index))
    return root


def test_same_as_testing(inferencer, trained, folder):
    """Against the config's own test pipeline and `predict`, read from the file by the pipeline."""
    config, _ = trained
    steps = [step for step in config.test_dataloader.dataset.pipeline if step["type"] != "LoadSaliencyMask"]
    data = Compose(steps)(dict(img_path=str(folder / "a.png")))
    with torch.no_grad():
        sample = inferencer.model.test_step(pseudo_collate([data]))[0]
    found = inferencer(folder / "a.png")["predictions"][0]
    assert found.saliency.shape == (40, 60)
    assert found.saliency.dtype == found.uncertainty.dtype == np.float32
    assert np.array_equal(found.saliency, sample.pred_saliency.data[0].numpy())
    assert np.array_equal(found.uncertainty, sample.saliency_std.data[0].numpy())
    assert found.saliency.std() > 0
    assert found.saliency.min() >= 0
    assert found.saliency.max() <= 1


def test_batches_change_nothing(inferencer, folder):
    one, many = (inferencer(folder, batch_size=size)["predictions"] for size in (1, 2))
    assert [found.name for found in one] == [found.name for found in many] == ["a", "b", "deep/a"]
    for alone, together in zip(one, many, strict=True):
        assert np.abs(alone.saliency - together.saliency).max() < 1e-5
        assert alone.saliency.shape == alone.image.shape[:2]


def test_sizes_kept_by_the_pipeline_are_not_padded_to_each_other(trained, tmp_path):
    """Images of different shapes in a batch would be padded by the preprocessor, and squeezed with their padding."""
    config, checkpoint = trained
    config = Config.fromstring(config.pretty_text, ".py")
    steps = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [step for step in steps if step["type"] != "ResizeSaliency"]
    config.model.backbone.strict_img_size = False
    model = SODInferencer(config, checkpoint, device="cpu", show_progress=False)
    wide, square = noise_image(64, 128), noise_image(64, 64)
    together = model([wide, square], batch_size=2)["predictions"]
    alone = model([wide, square], batch_size=1)["predictions"]
    for first, second in zip(together, alone, strict=True):
        assert np.abs(first.saliency - second.saliency).max() < 1e-5


def test_arrays_lists_and_channel_orders(inferencer):
    rgb = noise_image()
    found = inferencer([rgb, rgb[..., 0], np.dstack([rgb, rgb[..., 0]])])["predictions"]
    assert [each.name for each in found] == ["000000", "000001", "000002"]
    assert np.array_equal(found[2].image, rgb)
    bgr = inferencer(rgb[..., ::-1], channel_order="bgr")["predictions"][0]
    assert np.array_equal(bgr.image, rgb)
    assert np.array_equal(bgr.saliency, found[0].saliency)
    assert np.array_equal(inferencer(rgb.astype(np.uint16) * 256)["predictions"][0].image, rgb)
    assert np.array_equal(inferencer(rgb / 255)["predictions"][0].image, rgb)


def exif_turned(path, image, orientation):
    """A JPEG file that viewers turn."""
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    tiff = b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\x00\x00" + tiff
    path.write_bytes(encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + encoded[2:])


def write_odd(kind, path, rgb):
    """Writes a image of an unusual kind; the pixels that should be read."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if kind == "exif":
        exif_turned(path.with_suffix(".jpg"), rgb, 6)
        return path.with_suffix(".jpg"), np.rot90(rgb, -1)
    if kind == "cmyk":
        Image.fromarray(rgb).convert("CMYK").save(path.with_suffix(".jpg"), quality=100)
        return path.with_suffix(".jpg"), rgb
    if kind == "rgba":
        cv2.imwrite(str(path), np.dstack([rgb[..., ::-1], grey]))
        return path, rgb
    if kind == "16-bit":
        cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint16) * 257)
        return path, rgb
    if kind == "palette":
        Image.fromarray(rgb).quantize(256).save(path)
        return path, np.array(Image.fromarray(rgb).quantize(256).convert("RGB"))
    cv2.imwrite(str(path), grey if kind == "grey" else grey.astype(np.uint16) * 257)
    return path, np.repeat(grey[..., None], 3, 2)


@pytest.mark.parametrize("kind", ["grey", "grey 16-bit", "16-bit", "rgba", "palette", "cmyk", "exif"])
def test_kinds_of_files(inferencer, tmp_path, kind):
    rgb = noise_image(48, 80)
    path, truth = write_odd(kind, tmp_path / "odd.png", rgb)
    found = inferencer(path)["predictions"][0]
    assert found.saliency.shape == truth.shape[:2] == found.cutout.shape[:2]
    assert np.abs(found.image.astype(int) - truth).mean() < (8 if kind in ("cmyk", "exif") else 0.6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (10_000, 40), (40, 10_000)])
def test_sizes(inferencer, tmp_path, shape):
    cv2.imwrite(str(tmp_path / "odd.png"), noise_image(*shape))
    found = inferencer(tmp_path / "odd.png", out_dir=tmp_path / "out")["predictions"][0]
    assert found.saliency.shape == shape
    assert np.isfinite(found.saliency).all()
    assert cv2.imread(str(tmp_path / "out/cutout/odd.png"), cv2.IMREAD_UNCHANGED).shape == (*shape, 4)


BROKEN = {
    "empty": (b"", "cannot be decoded"),
    "text": (b"hello, this is no image", "cannot be decoded"),
    "cut short": (cv2.imencode(".png", noise_image())[1].tobytes()[:300], "cannot be decoded"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_named_or_skipped(inferencer, folder, kind):
    content, reason = BROKEN[kind]
    (folder / "aa.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"aa\.png"):
        inferencer(folder)
    result = inferencer(folder, batch_size=2, broken="skip")
    assert [found.name for found in result["predictions"]] == ["a", "b", "deep/a"]
    assert result["skipped"] == {reason: 1}
    assert "aa.png" in result["faults"][0]


def test_streams_hold_one_batch(inferencer, folder):
    """Photographs are read as they are needed: the second batch is not read before the first is handed out."""
    read = []

    def watched():
        for photograph in find_photographs(folder):
            read.append(photograph.name)
            yield photograph

    stream = inferencer.stream(watched(), batch_size=2, faults=ErrorCollector())
    assert next(stream).name == "a"
    assert read == ["a", "b"]
    assert [found.name for found in stream] == ["b", "deep/a"]


def test_files_that_are_written(inferencer, folder, tmp_path, capsys):
    predictions = inferencer(folder, out_dir=tmp_path / "out")["predictions"]
    found = predictions[2]
    for kind in ("saliency", "cutout", "overlay", "uncertainty"):
        assert sorted(path.name for path in (tmp_path / "out" / kind).rglob("*.png")) == ["a.png", "a.png", "b.png"]
    saliency = cv2.imread(str(tmp_path / "out/saliency/deep/a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(saliency, np.rint(found.saliency * 255))
    rgba = cv2.cvtColor(cv2.imread(str(tmp_path / "out/cutout/deep/a.png"), -1), cv2.COLOR_BGRA2RGBA)
    assert np.array_equal(rgba, found.cutout)
    assert np.array_equal(rgba[..., 3], saliency)
    inferencer(folder, out_dir=tmp_path / "some", kinds=["saliency"])
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["saliency"]


def test_it_is_a_cutter(inferencer):
    assert isinstance(inferencer, Cutter)
    alpha = inferencer.cut(noise_image())
    assert alpha.dtype == np.uint8
    assert alpha.shape == (50, 70)


def test_config_by_path_by_dict_and_from_the_checkpoint(inferencer, trained, tmp_path):
    config, checkpoint = trained
    (tmp_path / "config.py").write_text(config.pretty_text)
    wanted = inferencer(noise_image())["predictions"][0].saliency
    for model in (tmp_path / "config.py", str(tmp_path / "config.py"), config.to_dict(), None):
        trusted = dict(trust_checkpoint=model is None)
        other = SODInferencer(model, checkpoint, device="cpu", show_progress=False, **trusted)
        assert np.array_equal(other(noise_image())["predictions"][0].saliency, wanted)
    alone = SODInferencer(config, checkpoint, device="cpu", test_cfg=dict(ensemble_size=1), show_progress=False)
    assert alone(noise_image())["predictions"][0].uncertainty is None
    assert config.model.test_cfg.ensemble_size == 2


@pytest.mark.parametrize("stored", [("num_inference_steps", "ensemble_size"), ("steps", "ensemble")])
@pytest.mark.parametrize("given", [dict(ensemble_size=3), dict(ensemble=3)])
def test_old_names_of_settings_are_read(trained, stored, given):
    """Those of a config as those of a call, each replacing the other's value whatever its name."""
    config, checkpoint = trained
    config = Config(config.to_dict())
    config.model.test_cfg = dict(zip(stored, (1, 2), strict=True))
    other = SODInferencer(config, checkpoint, device="cpu", test_cfg=given, show_progress=False)
    assert (other.model.test_cfg["num_inference_steps"], other.model.test_cfg["ensemble_size"]) == (1, 3)


def test_a_setting_under_both_names_is_refused(trained):
    config, checkpoint = trained
    with pytest.raises(ValueError, match=r"`test_cfg\.steps` and `test_cfg\.num_inference_steps` are two names"):
        SODInferencer(config, checkpoint, device="cpu", test_cfg=dict(steps=1, num_inference_steps=2))
    config = Config(config.to_dict())
    config.model.test_cfg = dict(ensemble=1, ensemble_size=1)
    with pytest.raises(ValueError, match="two names of one setting"):
        MODELS.build(config.model)


def test_progress_is_told(trained, folder, capsys):
    SODInferencer(*trained, device="cpu")(folder)
    assert "3/3 images" in capsys.readouterr().err


def test_bad_settings(inferencer, trained, folder, tmp_path):
    config, checkpoint = trained
    with pytest.raises(FileNotFoundError, match=r"config .*nowhere\.py"):
        SODInferencer("nowhere.py", checkpoint)
    with pytest.raises(FileNotFoundError, match=r"checkpoint .*nowhere\.pth"):
        SODInferencer(config, "nowhere.pth")
    with pytest.raises(ValueError, match=r"`test_cfg\.ensemble_size` must be at least 1, but got 0"):
        SODInferencer(config, checkpoint, test_cfg=dict(ensemble_size=0))
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        inferencer(folder, batch_size=0)
    with pytest.raises(ValueError, match="cutout"):
        inferencer(folder, out_dir=tmp_path, kinds=["cutouts"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        inferencer("nowhere")
    with pytest.raises(TypeError, match="int"):
        inferencer([3])
    with pytest.raises(ValueError, match=r"000000 .* \(4, 4, 7\)"):
        inferencer(np.zeros((4, 4, 7), np.uint8))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        inferencer(np.full((4, 4, 3), np.nan))
    (folder / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png"):
        inferencer(folder)
    torch.save(dict(state_dict={}), tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="holds no config"):
        SODInferencer(None, tmp_path / "empty.pth")


def test_checkpoint_of_another_architecture(trained, tmp_path):
    config, _ = trained
    other = Config.fromstring(config.pretty_text, ".py")
    other.model.backbone.embed_dim = 8
    checkpoint = write_checkpoint(other, tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match=r"backbone\.timm_model"):
        SODInferencer(config, checkpoint, device="cpu")


def test_models_of_two_images_are_refused(trained):
    config, checkpoint = trained
    config = Config.fromstring(config.pretty_text, ".py")
    config.test_dataloader.dataset.pipeline.insert(1, dict(type="LoadAuxiliaryImage"))
    with pytest.raises(ValueError, match="one image alone"):
        SODInferencer(config, checkpoint)
