"""Several hypotheses from the model to the files: hand-made ambiguous members, and the command on a real ensemble."""

import json
import re

import cv2
import numpy as np
import pytest
import torch

from sos_mm.cli import cutout
from sos_mm.cutouts import find_hypotheses
from sos_mm.saliency import SODInferencer
from tests.saliency.apis.test_inferencer import noise_image, write_checkpoint
from tests.saliency.conftest import small_config

TEN = dict(num_inference_steps=1, ensemble_size=10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Config and checkpoint of the small model."""
    folder = tmp_path_factory.mktemp("hypotheses")
    config = small_config(folder, folder, **{"model.test_cfg.num_inference_steps": 1})
    return config, write_checkpoint(config, folder / "small.pth")


def ambiguous_members() -> torch.Tensor:
    """(10, 1, 1, 64, 64): six show a part on the left, three one on the right, and one both and what is above them."""
    members = torch.full((10, 1, 1, 64, 64), 0.05)
    members[[0, 2, 3, 5, 6, 8, 9], ..., 16:48, 4:28] = 0.9
    members[[1, 4, 7, 9], ..., 16:48, 36:60] = 0.7
    members[9, ..., :16, 4:60] = 0.9
    return members


def inferencer_of(trained, monkeypatch=None, members=None, **test_cfg):
    made = SODInferencer(*trained, device="cpu", test_cfg=TEN | test_cfg, show_progress=False)
    if members is not None:
        monkeypatch.setattr(made.model, "encode_decode", lambda *args: members)
    return made


def test_ambiguous_members_give_the_masks_they_show(trained, monkeypatch):
    made = inferencer_of(trained, monkeypatch, ambiguous_members(), hypotheses=dict(number=3))
    found = made(np.zeros((128, 64, 3), np.uint8))["predictions"][0]
    assert [each.share for each in found.hypotheses] == [0.6, 0.3, 0.1]
    # In the middle of the left part and of the right one; the image is twice as high as what the network is given.
    values = [(each.saliency[64, 16], each.saliency[64, 48]) for each in found.hypotheses]
    assert values == [pytest.approx(pair, abs=1e-4) for pair in [(0.9, 0.05), (0.05, 0.7), (0.9, 0.7)]]
    assert found.hypotheses[0].saliency.shape == found.saliency.shape == (128, 64)
    assert found.hypotheses[0].saliency.dtype == np.float32
    # The ordinary map is still the mean of all.
    assert found.saliency[64, 16] == pytest.approx(0.7 * 0.9 + 0.3 * 0.05, abs=1e-4)
    assert inferencer_of(trained)(noise_image())["predictions"][0].hypotheses == ()


def test_fewer_than_there_are_and_a_lower_limit(trained, monkeypatch):
    two = inferencer_of(trained, monkeypatch, ambiguous_members(), hypotheses=dict(number=2))
    found = two(np.zeros((64, 64, 3), np.uint8))["predictions"][0].hypotheses
    # The one with both overlaps each as much, 768 of 2432 pixels; of equals the larger one counts it.
    assert [each.share for each in found] == [0.7, 0.3]
    assert found[0].saliency[32, 48] == pytest.approx(0.05, abs=1e-4)
    loose = inferencer_of(trained, monkeypatch, ambiguous_members(), hypotheses=dict(min_iou=0.3))
    assert [each.share for each in loose(np.zeros((64, 64, 3), np.uint8))["predictions"][0].hypotheses] == [0.7, 0.3]


@pytest.mark.parametrize("reduction", ["mean", "median"])
def test_a_real_ensemble_gives_what_its_members_give(trained, reduction):
    """Against the members themselves, clustered by the function for maps of any origin."""
    made = inferencer_of(trained, reduction=reduction, hypotheses=dict(number=4, min_iou=0.9))
    image = noise_image(64, 64)
    with torch.no_grad():
        packed = made._packed("000000", image)
        data = made.model.data_preprocessor({key: [value] for key, value in packed.items()})
        members = made.model.encode_decode(data["inputs"], data["data_samples"])[:, 0, 0].numpy()
    expected = find_hypotheses(members, 4, 0.9, reduction=reduction)
    found = made(image)["predictions"][0].hypotheses
    assert len(found) == len(expected) > 1
    assert [each.share for each in found] == [each.share for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.saliency == pytest.approx(theirs.saliency, abs=1e-5)


def test_the_command_writes_each_and_their_shares(trained, tmp_path):
    config, checkpoint = trained
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), noise_image())
    (tmp_path / "config.py").write_text(config.pretty_text)
    out = tmp_path / "out"
    model = ["--config", str(tmp_path / "config.py"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    many = ["--ensemble-size", "4", "--hypotheses", "3", "--kinds", "cutout", "overlay"]
    assert cutout.main([str(tmp_path / "photos"), str(out), *model, *many]) == 0
    shares = json.loads((out / "hypotheses/shares/a.json").read_text())["shares"]
    assert sum(shares) == pytest.approx(1)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    names = [f"hypotheses/{kind}/a/{n}.png" for kind in ("cutout", "overlay") for n in range(1, len(shares) + 1)]
    assert files == ["cutout/a.png", *names, "overlay/a.png"]
    assert cv2.imread(str(out / names[0]), cv2.IMREAD_UNCHANGED).shape == (50, 70, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hypotheses", "3"], r"ensemble_size.* must be at least 3 for 3 hypotheses, but got 1"),
        (["--hypotheses", "0", "--ensemble-size", "4"], r"`test_cfg\.hypotheses\.number` must be an integer in \[1"),
    ],
)
def test_the_command_refuses_settings_that_cannot_work(trained, tmp_path, capsys, options, message):
    config, checkpoint = trained
    cv2.imwrite(str(tmp_path / "a.png"), noise_image())
    (tmp_path / "config.py").write_text(config.pretty_text)
    model = ["--config", str(tmp_path / "config.py"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(cutout.main([str(tmp_path / "a.png"), str(tmp_path / "out"), *model, *options]))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line)


def test_onnx_networks_have_one_mask(capsys):
    with pytest.raises(SystemExit):
        cutout.main(["a.png", "out", "--onnx", "net.onnx", "--hypotheses", "2"])
    assert "--ensemble-size and --hypotheses are for --checkpoint, not for --onnx" in capsys.readouterr().err


def test_bad_settings(trained):
    for hypotheses, message in [
        (dict(count=3), "test_cfg.hypotheses key"),
        (dict(number=11), "must be at least 11 for 11 hypotheses, but got 10"),
        (dict(min_iou=0), r"`test_cfg\.hypotheses\.min_iou` must be above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            inferencer_of(trained, hypotheses=hypotheses)


def test_one_map_alone_has_no_hypotheses(trained):
    made = inferencer_of(trained, hypotheses=dict(number=2), source="auxiliary")
    with pytest.raises(ValueError, match="must be None for a model that predicts one map alone"):
        made(noise_image())
