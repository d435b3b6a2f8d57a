"""The diffusion head and the segmentor, against hand-written references."""

import pytest
import torch
from diffusers import DDIMScheduler
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional

from sos_mm.saliency.models.head import check_scheduler
from sos_mm.saliency.models.noise import standard_normal
from sos_mm.seeding import Purpose, generator, image_id
from tests.saliency.conftest import small_config


def samples(number: int, size: int = 64) -> list[SegDataSample]:
    torch.manual_seed(1)
    return [
        SegDataSample(
            metainfo=dict(sample_idx=i, img_path=f"/data/{i}.jpg", ori_shape=(50, 70)),
            gt_saliency=PixelData(data=(torch.rand(1, size, size) > 0.5).float()),
        )
        for i in range(number)
    ]


def test_epsilon_with_zero_terminal_snr_is_refused(data_root, tmp_path):
    options = {"model.decode_head.scheduler.prediction_type": "epsilon"}
    with pytest.raises(ValueError, match="divides by zero"):
        MODELS.build(small_config(data_root, tmp_path, **options).model)


def test_unknown_prediction_type_is_refused():
    with pytest.raises(ValueError, match="v_prediction"):
        check_scheduler(DDIMScheduler(prediction_type="flow").config)


def test_loss_is_the_hand_written_one(small_model):
    inputs, data = torch.rand(2, 3, 64, 64), samples(2)
    small_model.draws.epoch = 3
    losses = small_model.loss(inputs, data)

    noise = torch.stack(
        [
            torch.from_numpy(generator(0, Purpose.TRAINING_NOISE, i, 3).standard_normal((192, 8, 8), dtype="float32"))
            for i in range(2)
        ]
    )
    steps = torch.tensor([generator(0, Purpose.TRAINING_TIMESTEP, i, 3).integers(1000) for i in range(2)])
    mask = torch.stack([sample.gt_saliency.data for sample in data]).repeat(1, 3, 1, 1) * 2 - 1
    clean = functional.pixel_unshuffle(mask, 8)
    head = small_model.decode_head
    signal = head.scheduler.alphas_cumprod[steps].view(-1, 1, 1, 1)
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * clean
    features = small_model.neck(small_model.backbone(inputs))
    stacked = torch.cat([functional.pixel_unshuffle(inputs * 2 - 1, 8), noisy], 1)
    predicted = head.denoiser.unet(stacked, steps, encoder_hidden_states=head.afim(features.pyramid)).sample
    torch.testing.assert_close(losses["loss_diffusion"], ((predicted - velocity) ** 2).mean())
    auxiliary = head.auxiliary(features.f)
    small_mask = functional.avg_pool2d(mask, 8)
    torch.testing.assert_close(losses["loss_aux"], ((auxiliary - small_mask) ** 2).mean())


def test_last_timestep_is_pure_noise(small_model):
    scheduler = small_model.decode_head.scheduler
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-12)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


@torch.no_grad()
def test_predict_is_a_plain_sampling_loop(small_model):
    inputs, data = torch.rand(2, 3, 64, 64), samples(2)
    small_model.test_cfg["num_inference_steps"] = 3
    predicted = small_model.predict(inputs, data)

    head = small_model.decode_head
    scheduler = DDIMScheduler.from_config(head.scheduler.config)
    scheduler.set_timesteps(3)
    names = [image_id(f"{i}.jpg") for i in range(2)]
    noise = [generator(0, Purpose.SAMPLING_NOISE, name).standard_normal((192, 8, 8), dtype="float32") for name in names]
    latent = torch.stack([torch.from_numpy(n) for n in noise])
    image_latent = functional.pixel_unshuffle(inputs * 2 - 1, 8)
    context = head.afim(small_model.extract_feat(inputs).pyramid)
    for t in scheduler.timesteps:
        v = head.denoiser.unet(torch.cat([image_latent, latent], 1), t, encoder_hidden_states=context).sample
        latent = scheduler.step(v, t, latent).prev_sample
    decoded = functional.pixel_shuffle(latent, 8).mean(1, keepdim=True).clamp(-1, 1) / 2 + 0.5
    expected = functional.interpolate(decoded, (50, 70), mode="bilinear", antialias=True)
    for index, sample in enumerate(predicted):
        torch.testing.assert_close(sample.pred_saliency.data, expected[index], atol=1e-5, rtol=0)


@torch.no_grad()
def test_prediction_depends_on_neither_batch_nor_order(small_model):
    inputs, data = torch.rand(3, 3, 64, 64), samples(3)
    together = [s.pred_saliency.data for s in small_model.predict(inputs, data)]
    for index in (2, 0, 1):
        alone = small_model.predict(inputs[index : index + 1], samples(3)[index : index + 1])[0]
        torch.testing.assert_close(alone.pred_saliency.data, together[index], atol=1e-5, rtol=0)


@torch.no_grad()
def test_ensemble_is_the_mean_of_its_members(small_model):
    inputs = torch.rand(1, 3, 64, 64)
    members = small_model.encode_conditions(inputs)
    small_model.test_cfg["ensemble_size"] = 3
    sample = small_model.predict(inputs, samples(1))[0]
    maps = small_model.decode_conditions(members, samples(1))
    assert maps.shape == (3, 1, 1, 64, 64)
    assert maps.std(0).max() > 0
    expected = functional.interpolate(maps[:, 0], (50, 70), mode="bilinear", antialias=True)
    torch.testing.assert_close(sample.pred_saliency.data, expected.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(sample.saliency_std.data, expected.std(0), atol=1e-5, rtol=0)
    assert sample.pred_sem_seg.data.dtype == torch.int64
    assert torch.equal(sample.pred_sem_seg.data, (sample.pred_saliency.data > 0.5).long())


@torch.no_grad()
def test_auxiliary_source_needs_the_auxiliary_loss(data_root, tmp_path):
    options = {"model.decode_head.loss_aux": None, "model.test_cfg.source": "auxiliary"}
    model = MODELS.build(small_config(data_root, tmp_path, **options).model)
    with pytest.raises(RuntimeError, match="loss_aux"):
        model.predict(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_inference_stepz": 4}, "Did you mean 'num_inference_steps'"),
        ({"ensemble_size": 0}, "at least 1"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"source": "vae"}, "diffusion"),
    ],
)
def test_bad_test_cfg_is_refused(data_root, tmp_path, options, words):
    config = small_config(data_root, tmp_path)
    config.model.test_cfg = options
    with pytest.raises(ValueError, match=words):
        MODELS.build(config.model)


def test_unet_of_other_channels_is_refused(data_root, tmp_path):
    options = {
        "model.decode_head.unet.architecture.out_channels": 3,
        "model.decode_head.unet.architecture.in_channels": 6,
    }
    with pytest.raises(ValueError, match="192 latent channels, but predicts 3"):
        MODELS.build(small_config(data_root, tmp_path, **options).model)


def test_training_without_shared_draws_says_what_to_add(small_model):
    small_model.draws = None
    with pytest.raises(RuntimeError, match="VisitHook"):
        small_model.loss(torch.rand(1, 3, 64, 64), samples(1))


def test_noise_is_each_generators_own():
    together = standard_normal([generator(0, Purpose.SAMPLING_NOISE, i) for i in range(3)], (2, 4), torch.device("cpu"))
    alone = standard_normal([generator(0, Purpose.SAMPLING_NOISE, 2)], (2, 4), torch.device("cpu"))
    assert torch.equal(together[2], alone[0])
