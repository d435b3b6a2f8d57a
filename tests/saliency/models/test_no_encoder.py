"""The model without a second encoder: it is built, trained, resumed, tested and judged like any other."""

import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmseg.structures import SegDataSample

from sos_mm.engine.launch import build_trained
from sos_mm.saliency.evaluation.attention import attention_maps
from sos_mm.saliency.evaluation.baselines import evaluate, predictors
from tests.saliency.conftest import small_config

NONE = {
    "model.backbone": None,
    "model.neck": None,
    "model.decode_head.in_channels": None,
    "model.decode_head.afim": None,
    "model.decode_head.loss_aux": None,
}


@pytest.fixture
def model(data_root, tmp_path) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(small_config(data_root, tmp_path, **NONE).model).eval()


@torch.no_grad()
def test_unet_is_that_of_diffusers_with_cross_attention_that_adds_nothing(model):
    ours = model.decode_head.denoiser
    plain = UNet2DConditionModel(**dict(ours.unet.config)).eval()
    missing, unexpected = plain.load_state_dict(ours.unet.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(re.search(r"transformer_blocks\.\d+\.(attn2|norm2)\.", name) for name in missing)
    for name, parameter in plain.named_parameters():
        if ".attn2.to_out." in name:
            parameter.zero_()
    image, noisy, times = torch.rand(2, 192, 8, 8), torch.rand(2, 192, 8, 8), torch.tensor([3, 700])
    expected = plain(torch.cat([image, noisy], 1), times, encoder_hidden_states=torch.rand(2, 5, 64)).sample
    torch.testing.assert_close(ours(image, noisy, times, None), expected)
    assert ours.levels == 0


@torch.no_grad()
def test_latents_are_all_that_is_read(model):
    images = torch.rand(2, 3, 64, 64)
    assert model.extract_feat(images) is None
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"decode_head"}
    assert {name.split(".")[1] for name, _ in model.named_parameters()} == {"denoiser"}
    own, other = (model.predict(each[None])[0].pred_saliency.data for each in images)
    assert not torch.allclose(own, other, atol=1e-3)


def test_training_resumes_and_is_tested(data_root, tmp_path):
    def run(name: str, epochs: int, folder: str | None = None, **options) -> Runner:
        epochs = {"train_cfg.max_epochs": epochs, "param_scheduler": None}
        config = small_config(data_root, tmp_path / (folder or name), **NONE, **epochs, **options)
        config.experiment_name = f"no-encoder-{name}"
        runner = Runner.from_cfg(config)
        runner.train()
        return runner

    whole = run("whole", 2)
    run("first", 1, "parts")
    resumed = run("second", 2, "parts", resume=True)
    assert resumed.iter == whole.iter == 6
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=1e-5, rtol=0)
    lines = Path(whole.log_dir, "vis_data/scalars.json").read_text().splitlines()
    names = {key for line in lines for key in json.loads(line) if key.startswith("loss")}
    assert names == {"loss", "loss_diffusion"}

    config = small_config(data_root, tmp_path / "test", **NONE)
    config.experiment_name = "no-encoder-tested"
    runner = build_trained(config, f"{whole.work_dir}/epoch_2.pth")
    assert 0 < runner.test()["sod/MAE"] < 1
    named = predictors(runner.model)
    assert list(named) == ["centre prior", "full model", "full model, conditions shuffled"]
    scores = evaluate(runner.model.eval(), runner.test_dataloader, named)
    assert scores["full model"] != scores["full model, conditions shuffled"]
    sample = SegDataSample(metainfo=dict(ori_shape=(64, 64)))
    assert attention_maps(runner.model, torch.rand(1, 3, 64, 64), sample) == {}


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("model.neck", "`backbone` and `neck` must both"),
        ("model.decode_head.afim", "`backbone` and the head's `afim` must both"),
        ("model.decode_head.loss_aux", "`loss_aux` must be None"),
    ],
)
def test_half_of_an_encoder_is_refused(data_root, tmp_path, kept, words):
    options = {key: value for key, value in NONE.items() if key != kept}
    if kept.endswith("afim"):
        del options["model.decode_head.in_channels"]
    with pytest.raises(ValueError, match=words):
        MODELS.build(small_config(data_root, tmp_path, **options).model)


def test_branch_without_encoder_is_refused(data_root, tmp_path):
    config = small_config(data_root, tmp_path, **NONE)
    decoder = dict(type="MaskDecoder", in_channels=32)
    head = dict(type="SalientBranchHead", decoder=decoder, loss_pixel=dict(type="StructureLoss"))
    config.model.update(type="SalientBranchSegmentor", codec=None)
    config.model.decode_head = ConfigDict(head)
    with pytest.raises(ValueError, match="`backbone` must be a config"):
        MODELS.build(config.model)
