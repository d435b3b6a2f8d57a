"""Parity with the authors' released code: training steps, and a prediction from a loop written from its description.

The numbers come from their formulas (github.com/QuantumScriptHub/SOD-diffusion, commit 7960776), computed here by
numpy, by PIL and by diffusers' own U-Net, or by hand; nothing is computed by what is tested.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from mmengine.runner import Runner
from PIL import Image

from sos_mm.seeding import Purpose, generator, image_id
from tests.saliency.models.published import RELEASED, signal_shares, small_config


def write_photographs(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """Smooth photographs and masks with soft edges, of given heights and widths."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index, (height, width) in enumerate(sizes):
        coarse = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        photograph = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((height, width), np.uint8)
        cv2.circle(mask, (width // 2, height // 3), min(height, width) // 4, 255, -1, cv2.LINE_AA)
        cv2.imwrite(str(root / "images" / f"{index}.png"), photograph)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
    return root


SIZES = [(50, 80), (97, 31), (64, 64), (120, 33)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The released config, its networks shrunk, after two steps of a Runner on photographs of unlike sizes."""
    root = tmp_path_factory.mktemp("released")
    write_photographs(root / "data", SIZES)
    config = small_config(RELEASED)
    for kind in ("train", "val", "test"):
        config[f"{kind}_dataloader"].update(batch_size=2, num_workers=0, persistent_workers=False)
        config[f"{kind}_dataloader"].dataset.update(data_root=str(root / "data"), serialize_data=False)
    config.merge_from_dict({"train_cfg.max_epochs": 1, "default_hooks.logger.interval": 1, "work_dir": str(root)})
    config.update(val_cfg=None, val_dataloader=None, val_evaluator=None, experiment_name="released")
    runner = Runner.from_cfg(config)
    torch.manual_seed(0)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    return runner, before


def test_released_config_trains_on_photographs_of_unlike_sizes(trained):
    runner, before = trained
    assert runner.iter == 2
    changed = {name for name, p in runner.model.named_parameters() if not torch.equal(p, before[name])}
    assert {name.split(".")[0] for name in changed} == {"backbone", "neck", "decode_head"}
    assert (Path(runner.work_dir) / "epoch_1.pth").is_file()


@torch.no_grad()
def test_prediction_is_a_loop_written_from_the_description(trained):
    runner, _ = trained
    model = runner.model.eval()
    # What they sample with: diffusers' own U-Net and attention, on the same weights.
    unet = UNet2DConditionModel(**dict(model.decode_head.denoiser.unet.config)).eval()
    unet.load_state_dict(model.decode_head.denoiser.unet.state_dict(), strict=True)
    found = {sample.img_path: sample for batch in runner.test_dataloader for sample in model.test_step(batch)}
    assert len(found) == len(SIZES)
    spread = 0.0
    for path, sample in list(found.items())[:2]:
        expected = reference_prediction(model, unet, path)
        ours = sample.pred_saliency.data[0].numpy()
        assert ours.shape == expected.shape == sample.ori_shape
        np.testing.assert_allclose(ours, expected, atol=1e-4)
        spread += expected.std()
    # Maps that say something.
    assert spread > 0.1


def reference_prediction(model: torch.nn.Module, unet: UNet2DConditionModel, path: str) -> np.ndarray:
    """The released inference, 10 steps for each of 10 members, from its description: a map at the photograph's size."""
    photograph = Image.open(path).convert("RGB")
    pixels = np.asarray(photograph.resize((64, 64), Image.BICUBIC))
    image = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]
    vae, shares = model.codec.vae, signal_shares()
    image_latent = vae.quant_conv(vae.encoder(image)).chunk(2, 1)[0] * 0.18215
    f = model.neck(model.backbone(image)).f
    tokens = f.flatten(2).repeat(1, 2, 1).transpose(1, 2)
    members = []
    for member in range(10):
        rng = generator(0, Purpose.SAMPLING_NOISE, image_id(Path(path).name), member)
        latent = torch.from_numpy(rng.standard_normal((1, 4, 8, 8), "f4"))
        for time in range(901, 0, -100):
            velocity = unet(torch.cat([image_latent, latent], 1), time, encoder_hidden_states=tokens).sample
            signal, noise = math.sqrt(shares[time]), math.sqrt(1 - shares[time])
            clean, dirt = signal * latent - noise * velocity, noise * latent + signal * velocity
            share = shares[max(time - 100, 0)]
            latent = math.sqrt(share) * clean + math.sqrt(1 - share) * dirt
        decoded = vae.decoder(vae.post_quant_conv(latent / 0.18215)).mean(1)[0].numpy()
        map_ = (decoded.clip(-1, 1) + 1) / 2
        members.append((map_ - map_.min()) / (map_.max() - map_.min()))
    # torch's median of ten is the fifth.
    middle = np.sort(members, axis=0)[4]
    middle = (middle - middle.min()) / (middle.max() - middle.min())
    return np.asarray(Image.fromarray(middle).resize(photograph.size, Image.BICUBIC)).clip(0, 1)
