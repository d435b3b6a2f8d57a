"""The converter of the authors' released checkpoints.

``released_branch.txt`` lists the names and shapes of their Swin branch at full size.
"""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.saliency.apis.released_checkpoint import from_released, import_released, to_released
from tests.helpers.commands import run
from tests.saliency.conftest import CONFIGS, UNET, VAE


def released_branch() -> dict[str, torch.Tensor]:
    """Their branch: every parameter holds a number of its own."""
    lines = (Path(__file__).parent / "released_branch.txt").read_text().splitlines()
    shapes = [line.split() for line in lines]
    sizes = {name: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for name, shape in shapes}
    return {name: torch.tensor(float(index)).expand(size) for index, (name, size) in enumerate(sizes.items())}


def released_config() -> dict:
    init_default_scope("mmseg")
    model = Config.fromfile(CONFIGS / "sod_diffusion/sod_diffusion_swinb_released.py").model
    leave_out_pretrained(model)
    return model


@pytest.fixture(scope="module")
def full_size() -> torch.nn.Module:
    with torch.device("meta"):
        return MODELS.build(released_config())


def test_every_parameter_finds_its_place_with_its_shape(full_size):
    theirs = {name: value.to("meta") for name, value in full_size.decode_head.denoiser.unet.state_dict().items()}
    state, aside = from_released(theirs, released_branch())
    expected = {name: tuple(value.shape) for name, value in full_size.state_dict().items()}
    # The VAE is the base model's, and the auxiliary convolution was never saved.
    elsewhere = {name for name in expected if name.startswith(("codec.", "decode_head.auxiliary."))}
    got = {name: tuple(value.shape) for name, value in state.items()}
    assert {**got, **{name: expected[name] for name in elsewhere}} == expected
    assert len(state) + len(aside) == len(theirs) + 1625
    # What is kept aside is what the released model never runs.
    parts = {name.split(".")[0] for name in aside if not name.endswith("relative_position_index")}
    assert parts == {"context1", "context2", "attention0", "attention1", "attention2", "decoder", "backbone"}


def test_round_trip_keeps_every_value():
    branch = released_branch()
    unet = {"conv_in.weight": torch.rand(3)}
    back_unet, back_branch = to_released(*from_released(unet, branch))
    assert back_unet.keys() == unet.keys()
    assert torch.equal(back_unet["conv_in.weight"], unet["conv_in.weight"])
    assert back_branch.keys() == branch.keys()
    assert all(torch.equal(back_branch[name], value) for name, value in branch.items())


def test_swin_stages_shrink_where_timm_has_it():
    state, _ = from_released({}, released_branch())
    assert "backbone.timm_model.layers_1.downsample.reduction.weight" in state
    assert state["backbone.timm_model.layers_1.downsample.reduction.weight"].shape == (256, 512)


def test_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="Swin branch"):
        from_released({}, {"resnet.conv1.weight": torch.zeros(1)})


SMALL_SWIN = dict(model_name="swin_tiny_patch4_window7_224", img_size=64, embed_dim=16, depths=(1, 1, 1, 1))


@pytest.fixture
def small(tmp_path) -> dict:
    """A shrunk released model, its parts in the authors' files, and the command that converts them."""
    model = released_config()
    model.backbone.update(**SMALL_SWIN, num_heads=(1, 1, 2, 2), window_size=2)
    model.neck.out_channels = model.decode_head.in_channels = 32
    model.decode_head.unet.architecture = {**UNET, "in_channels": 8}
    model.codec.architecture = VAE
    torch.manual_seed(0)
    built = MODELS.build(model)
    unet, branch = to_released(built.state_dict(), {"context1.branch0.conv.weight": torch.rand(2)})
    built.decode_head.denoiser.unet.save_pretrained(tmp_path / "theirs/unet")
    torch.save(branch, tmp_path / "theirs/branch.pth")
    built.codec.vae.save_pretrained(tmp_path / "base/vae")
    config = tmp_path / "model.py"
    config.write_text(f"model = {model.to_dict()!r}\n")
    where = ["--unet", str(tmp_path / "theirs/unet"), "--branch", str(tmp_path / "theirs/branch.pth")]
    convert = ["--base", str(tmp_path / "base"), "--out", str(tmp_path / "ours.pth"), "--config", str(config)]
    return dict(model=model, built=built, where=where, convert=convert, branch=branch, unet=unet)


def test_tool_converts_there_and_back(small, tmp_path):
    done = run(["convert_checkpoint.py", *small["where"], *small["convert"]])
    assert (done.code, done.raised) == (0, ""), done.err
    checkpoint = torch.load(tmp_path / "ours.pth", weights_only=True)
    loaded = MODELS.build(small["model"])
    loaded.load_state_dict(checkpoint["state_dict"], strict=True)
    image = torch.rand(1, 3, 64, 64)
    maps = []
    for model in (small["built"], loaded):
        model.eval()
        model.test_cfg.update(num_inference_steps=2, ensemble_size=2)
        with torch.no_grad():
            maps.append(model.predict(image)[0].pred_saliency.data)
    assert torch.equal(*maps)

    theirs = ["--unet", str(tmp_path / "back"), "--branch", str(tmp_path / "back.pth")]
    done = run(["convert_checkpoint.py", "--back", tmp_path / "ours.pth", *theirs])
    assert (done.code, done.raised) == (0, ""), done.err
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == small["branch"].keys()
    assert all(torch.equal(back[name], value) for name, value in small["branch"].items())
    (tmp_path / "back/config.json").write_text((tmp_path / "theirs/unet/config.json").read_text())
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "back").state_dict()
    assert all(torch.equal(unet[name], value) for name, value in small["unet"].items())


def test_another_architecture_is_named(small, tmp_path):
    wider = AutoencoderKL(**{**VAE, "block_out_channels": [8, 8, 16, 32]})
    wider.save_pretrained(tmp_path / "other/vae")
    with pytest.raises(RuntimeError, match=r"codec\.vae\.\S+ must be \("):
        import_released(small["model"], *(Path(each) for each in small["where"][1::2]), str(tmp_path / "other"))


def test_missing_unet_is_named(small, tmp_path):
    done = run(["convert_checkpoint.py", "--unet", tmp_path, *small["where"][2:], *small["convert"]])
    assert (done.code, done.raised) == (2, "")
    assert "diffusion_pytorch_model.safetensors" in done.line
