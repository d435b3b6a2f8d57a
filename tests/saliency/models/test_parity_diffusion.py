"""Parity with the authors' released code: noise, schedule and target.

The numbers come from their formulas (github.com/QuantumScriptHub/SOD-diffusion, commit 7960776), computed here by
numpy, by PIL and by diffusers' own U-Net, or by hand; nothing is computed by what is tested.
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sos_mm.saliency.models.noise import MultiResolutionNoise
from sos_mm.seeding import Purpose, generator, image_id
from tests.saliency.conftest import CONFIGS
from tests.saliency.models.published import PUBLISHED, RELEASED, samples, signal_shares, small_model


def test_noise_is_their_pyramid():
    """White noise and six more, each .3 times as strong as the last and 2 to 4 times per level as coarse."""
    noise = MultiResolutionNoise(**Config.fromfile(CONFIGS / RELEASED).model.train_cfg.noise)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        total, side = rng.standard_normal((4, 48, 48), "f4"), [48, 48]
        for level in range(6):
            factor = (2 + 2 * rng.random()) ** level
            side = [max(1, int(length / factor)) for length in side]
            coarse = rng.standard_normal((1, 4, *side), "f4")
            enlarged = torch.nn.Upsample((48, 48), mode="bilinear")(torch.from_numpy(coarse))[0].numpy()
            total = total + np.float32(0.3**level) * enlarged
            if 1 in side:
                break
        expected = torch.from_numpy(total / total.std(ddof=1))
        # Not annealed: the same at every timestep.
        for time in (0.0, 0.5, 1.0):
            found = noise(np.random.default_rng(seed), (4, 48, 48), time)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_pyramid_is_for_training_alone(monkeypatch):
    model = small_model(RELEASED)
    calls = []

    def counted(noise, rng, shape, time):
        calls.append(shape)
        return torch.zeros(shape)

    monkeypatch.setattr(MultiResolutionNoise, "__call__", counted)
    images = torch.rand(2, 3, 64, 64)
    model.train().loss(images, samples(2))
    assert calls == [(4, 8, 8)] * 2
    model.eval().test_cfg.update(num_inference_steps=1, ensemble_size=1)
    with torch.no_grad():
        model.predict(images, samples(2))
    assert len(calls) == 2
    white = generator(0, Purpose.SAMPLING_NOISE, image_id("1.jpg"), 0).standard_normal((4, 8, 8), "f4")
    found = model.starting_noise(samples(2), 0, torch.zeros(2, 4, 8, 8), None)[1]
    assert torch.equal(found, torch.from_numpy(white))


def test_schedule_is_that_of_stable_diffusion():
    shares = signal_shares()
    scheduler = small_model(RELEASED).decode_head.scheduler
    np.testing.assert_allclose(scheduler.alphas_cumprod.numpy(), shares, rtol=2e-5)
    # 1 - beta_0, and the known end of this schedule, sqrt(.00466) = .0683, which is not zero.
    assert float(scheduler.alphas_cumprod[0]) == pytest.approx(0.99915, abs=1e-6)
    assert float(scheduler.alphas_cumprod[-1]) ** 0.5 == pytest.approx(0.0683, abs=1e-4)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    # What the published form fixes: zero signal at the end, and steps that begin there.
    fixed = small_model(PUBLISHED).decode_head.scheduler
    roots = np.sqrt(shares)
    rescaled = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    np.testing.assert_allclose(fixed.alphas_cumprod.numpy(), rescaled, atol=1e-5)
    fixed.set_timesteps(10)
    assert fixed.timesteps.tolist() == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]


def test_target_is_the_velocity():
    head = small_model(RELEASED).decode_head
    torch.manual_seed(1)
    mask, noise = torch.randn(2, 3, 4, 8, 8)
    times = torch.tensor([0, 500, 999])
    share = torch.from_numpy(signal_shares())[times].view(-1, 1, 1, 1)
    expected = share.sqrt() * noise - (1 - share).sqrt() * mask
    torch.testing.assert_close(head._target(mask, noise, times), expected.float(), atol=1e-4, rtol=0)
