"""The widened U-Net is the original until offsets are added, which are added key by key or refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sos_mm.generation.relighting.iclight import add_offsets, input_channels, read_offsets, to_iclight, widen_conv_in
from tests.generation.relighting.models import CHANNELS, make_offsets, make_unet, save_offsets


def output(unet, channels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return unet(channels, 400, torch.linspace(-1, 1, 2 * 5 * 32).reshape(2, 5, 32)).sample


@pytest.mark.parametrize("variant", CHANNELS)
def test_without_offsets_it_is_the_original(variant):
    torch.manual_seed(0)
    unet, latents = make_unet(), torch.randn(2, 4, 8, 8)
    before = output(unet, latents)
    zeros = {key: torch.zeros_like(each) for key, each in make_offsets(variant).items()}
    widen_conv_in(unet, input_channels(variant))
    add_offsets(unet, zeros, "The offsets")
    assert unet.config.in_channels == unet.conv_in.in_channels == CHANNELS[variant]
    for rest in (torch.zeros, torch.randn):
        after = output(unet, torch.cat([latents, rest(2, CHANNELS[variant] - 4, 8, 8)], 1))
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", CHANNELS)
def test_offsets_are_added_to_each_weight(variant, tmp_path):
    unet = make_unet()
    before = {key: each.clone() for key, each in unet.state_dict().items()}
    offsets = make_offsets(variant)
    to_iclight(unet, save_offsets(tmp_path / "offsets.safetensors", variant), variant)
    after = unet.state_dict()
    assert after.keys() == before.keys() == offsets.keys()
    for key, each in after.items():
        start = before[key]
        if key == "conv_in.weight":
            start = torch.cat([start, torch.zeros(16, CHANNELS[variant] - 4, 3, 3)], 1)
        np.testing.assert_array_equal(each.numpy(), (start + offsets[key].float()).numpy(), err_msg=key)
    # The condition's channels now count.
    latents = torch.randn(2, CHANNELS[variant], 8, 8)
    other = torch.cat([latents[:, :4], torch.randn(2, CHANNELS[variant] - 4, 8, 8)], 1)
    assert (output(unet, latents) - output(unet, other)).abs().max() > 1e-3


def changed(**replaced):
    offsets = make_offsets()
    for key, value in replaced.items():
        key = key.replace("__", ".")
        if value is None:
            del offsets[key]
        else:
            offsets[key] = value
    return offsets


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        (changed(conv_out__bias=None), r"1 are missing \(conv_out\.bias\): it is of another model"),
        (changed(lora__up=torch.zeros(2)), r"1 are unknown \(lora\.up\)"),
        (changed(conv_out__bias=torch.zeros(9)), r"1 have another shape \(conv_out\.bias: \(9,\) instead of \(4,\)\)"),
        (changed(conv_out__bias=torch.zeros(4, dtype=torch.int64)), r"no floating-point numbers \(conv_out\.bias\)"),
        (make_offsets("fbc"), r"must be for 8 input channels, but is for 12: it is of the variant 'fbc'\."),
        (changed(conv_in__weight=torch.zeros(16, 4, 3, 3)), r"must be for 8 input channels, but is for 4\."),
        ({"model.diffusion_model.out.weight": torch.zeros(1)}, r"are missing \(.* \.\.\.\); 1 are unknown \(model\."),
    ],
)
def test_offsets_of_another_model_are_refused(offsets, message, tmp_path):
    save_file(offsets, tmp_path / "offsets.safetensors")
    unet = make_unet()
    before = {key: each.clone() for key, each in unet.state_dict().items() if key != "conv_in.weight"}
    with pytest.raises(ValueError, match=message):
        to_iclight(unet, tmp_path / "offsets.safetensors")
    assert all(torch.equal(each, unet.state_dict()[key]) for key, each in before.items())


def test_missing_and_damaged_files(tmp_path):
    for variant in CHANNELS:
        with pytest.raises(FileNotFoundError, match=rf"iclight_sd15_{variant}\.safetensors.*1\.7 GB.*licence"):
            read_offsets(tmp_path / "none.safetensors", variant)
    whole = save_offsets(tmp_path / "half.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="download the file again"):
        read_offsets(tmp_path / "half.safetensors", "fc")
    (tmp_path / "weights.ckpt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"must be a \.safetensors file"):
        read_offsets(tmp_path / "weights.ckpt", "fc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 9}, "9 input channels instead of 4"),
        (
            {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": 80,
            },
            "as SDXL has",
        ),
    ],
)
def test_another_base_model_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        to_iclight(make_unet(**options), base="somewhere")
    with pytest.raises(ValueError, match="at least the U-Net's 4"):
        widen_conv_in(make_unet(), 3)
