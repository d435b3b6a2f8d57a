"""Inference: diffusers' own loop, samplers, ensembles, tiles, letterboxes, augmentation, and what must not matter."""

from itertools import pairwise

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional

from sos_mm.saliency.models.sliding import blend_tiles, starts
from sos_mm.seeding import Purpose, generator, image_id
from tests.saliency.conftest import CONFIGS, UNET, small_config


def samples(number: int, **metainfo) -> list[SegDataSample]:
    return [
        SegDataSample(metainfo=dict(img_path=f"/data/{i}.jpg", ori_shape=(64, 64)) | metainfo) for i in range(number)
    ]


@pytest.fixture(scope="module")
def stable_diffusion(tmp_path_factory):
    """The full method on a small base model that diffusers saved: VAE, U-Net of two levels, small Swin."""
    from tests.saliency.conftest import VAE

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    UNet2DConditionModel(**UNET | {"in_channels": 8}).save_pretrained(folder / "unet")
    AutoencoderKL(**VAE).save_pretrained(folder / "vae")
    DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    init_default_scope("mmseg")
    model = Config.fromfile(CONFIGS / "sod_diffusion/sod_diffusion_swinb_plain_attention.py").model
    model.backbone.update(model_name="swin_tiny_patch4_window7_224", img_size=64, embed_dim=16, pretrained=False)
    model.backbone.update(depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=2)
    model.codec.pretrained = model.decode_head.unet.pretrained = str(folder)
    return folder, MODELS.build(model).eval()


@torch.no_grad()
def test_predict_is_a_loop_written_with_diffusers_own_classes(stable_diffusion):
    folder, model = stable_diffusion
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").eval()
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    images = torch.rand(2, 3, 64, 64)
    model.test_cfg.update(num_inference_steps=4, ensemble_size=1, seed=7)
    predicted = torch.stack([s.pred_saliency.data for s in model.predict(images, samples(2))])

    image_latents = vae.encode(images * 2 - 1).latent_dist.mode() * 0.18215
    afim = model.decode_head.afim
    tokens = afim.norm(afim.project(model.extract_feat(images).f)).flatten(2).transpose(1, 2)
    rows = [generator(7, Purpose.SAMPLING_NOISE, image_id(f"{i}.jpg")).standard_normal((4, 8, 8), "f4") for i in (0, 1)]
    latents = torch.stack([torch.from_numpy(row) for row in rows])
    scheduler.set_timesteps(4)
    for t in scheduler.timesteps:
        v = unet(torch.cat([image_latents, latents], 1), t, encoder_hidden_states=tokens).sample
        latents = scheduler.step(v, t, latents).prev_sample
    decoded = vae.decode(latents / 0.18215).sample.mean(1, keepdim=True)
    torch.testing.assert_close(predicted, (decoded / 2 + 0.5).clamp(0, 1), atol=1e-5, rtol=0)
    assert predicted.std() > 0.01


class Counter:
    """Counts calls of a module's parts."""

    def __init__(self, modules):
        self.calls = 0
        for module in modules:
            module.register_forward_hook(self)

    def __call__(self, *_) -> None:
        self.calls += 1


@torch.no_grad()
@pytest.mark.parametrize("gate", [True, False])
def test_keys_and_values_are_computed_once_an_image_and_are_those_of_each_step(data_root, tmp_path, gate):
    torch.manual_seed(0)
    model = MODELS.build(small_config(data_root, tmp_path, **{"model.decode_head.afim.gate": gate}).model).eval()
    head, images = model.decode_head, torch.rand(2, 3, 64, 64)
    if gate:
        torch.nn.init.normal_(head.afim.gate.to_gates.weight, std=3)
    model.test_cfg.update(num_inference_steps=3, ensemble_size=2)
    layers = [m.attn2 for m in head.denoiser.modules() if hasattr(m, "attn2")]
    keys, queries = Counter(layer.to_k for layer in layers), Counter(layer.to_q for layer in layers)
    encoder, denoiser = Counter([model.backbone]), Counter([head.denoiser])
    predicted = model.predict(images, samples(2))
    assert (keys.calls, queries.calls) == (len(layers), len(layers) * 3 * 2)
    assert (encoder.calls, denoiser.calls) == (1, 6)
    # The same with every layer projecting anew at every step.
    head.condition = lambda features: head.afim(features.pyramid)
    anew = model.predict(images, samples(2))
    assert keys.calls == len(layers) + len(layers) * 3 * 2
    for ours, theirs in zip(predicted, anew, strict=True):
        assert torch.equal(ours.pred_saliency.data, theirs.pred_saliency.data)


@torch.no_grad()
def test_gate_starts_at_one_and_learns_the_timestep(data_root, tmp_path):
    torch.manual_seed(0)
    afim = MODELS.build(
        small_config(data_root, tmp_path, **{"model.decode_head.afim.gate": True}).model
    ).decode_head.afim
    context = afim(tuple(torch.rand(3, 32, s, s) for s in (8, 4)))
    times = torch.tensor([0, 500, 999])
    assert torch.equal(afim.at(context, times).gates, torch.ones(3, 2))
    torch.nn.init.normal_(afim.gate.to_gates.weight)
    gates = afim.at(context, times).gates
    assert (gates[0] - gates[1]).abs().min() > 1e-4
    assert ((gates > 0) & (gates < 2)).all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerDiscreteScheduler", "LCMScheduler", "UniPCMultistepScheduler"])
def test_any_sampler_of_diffusers_repeats_whatever_the_batch(small_model, name):
    images = torch.rand(3, 3, 64, 64)
    trained = [s.pred_saliency.data for s in small_model.predict(images, samples(3))]
    small_model.test_cfg["scheduler"] = dict(type=f"diffusers.{name}")
    sampler = small_model.decode_head.sampler(small_model.test_cfg["scheduler"])
    assert type(sampler).__name__ == name
    assert sampler.config.prediction_type == "v_prediction"
    together = [s.pred_saliency.data for s in small_model.predict(images, samples(3))]
    alone = small_model.predict(images[1:2], samples(3)[1:2])[0].pred_saliency.data
    torch.testing.assert_close(alone, together[1], atol=1e-4, rtol=0)
    assert not torch.allclose(together[1], trained[1], atol=1e-4)


@torch.no_grad()
def test_sampler_that_gives_no_numbers_is_named(small_model):
    # In 32 bits it takes the root of a negative number at the first step from pure noise.
    small_model.test_cfg["scheduler"] = dict(type="diffusers.EulerAncestralDiscreteScheduler")
    with pytest.raises(FloatingPointError, match="EulerAncestralDiscreteScheduler"):
        small_model.predict(torch.rand(1, 3, 64, 64), samples(1))


def test_sampler_that_is_none_is_refused(small_model):
    with pytest.raises(ValueError, match=r"diffusers\.DDIMScheduler"):
        small_model.decode_head.sampler(dict(type="diffusers.NoSuchScheduler"))
    with pytest.raises(ValueError, match="divides by zero"):
        small_model.decode_head.sampler(dict(prediction_type="epsilon"))


@torch.no_grad()
@pytest.mark.parametrize(("padding", "size"), [((0, 0, 8, 16), (40, 64)), ((16, 8, 0, 0), (64, 40))])
def test_letterbox_is_cut_off(small_model, padding, size):
    left, right, top, bottom = padding
    image = torch.rand(1, 3, 64, 64)
    whole = small_model.predict(image, samples(1))[0].pred_saliency.data
    boxed = small_model.predict(image, samples(1, padding_size=padding, ori_shape=size))[0].pred_saliency.data
    torch.testing.assert_close(boxed, whole[:, top : 64 - bottom, left : 64 - right])


@torch.no_grad()
def test_map_is_stretched_where_asked(small_model):
    image = torch.rand(1, 3, 64, 64)
    plain = small_model.predict(image, samples(1))[0].pred_saliency.data
    small_model.test_cfg["stretch"] = True
    stretched = small_model.predict(image, samples(1))[0].pred_saliency.data
    torch.testing.assert_close(stretched, (plain - plain.min()) / (plain.max() - plain.min()))


@torch.no_grad()
def test_median_of_the_members(small_model):
    small_model.test_cfg.update(ensemble_size=3, reduction="median")
    image = torch.rand(1, 3, 64, 64)
    maps = small_model.encode_decode(image, samples(1))[:, 0]
    predicted = small_model.predict(image, samples(1))[0].pred_saliency.data
    torch.testing.assert_close(predicted, maps.sort(0).values[1])


@pytest.mark.parametrize(("length", "overlap"), [(64, 0.25), (65, 0.25), (200, 0.5), (136, 0.0)])
def test_tiles_cover_everything_and_overlap(length, overlap):
    padded = -(-length // 8) * 8
    begins = starts(padded, 64, overlap, 8)
    assert (begins[0], begins[-1]) == (0, padded - 64)
    assert all(begin % 8 == 0 for begin in begins)
    assert all(b - a <= 64 * (1 - overlap) + 8 for a, b in pairwise(begins))


def test_tiles_of_a_local_function_are_that_function():
    images = torch.rand(2, 3, 100, 77)
    blended = blend_tiles(lambda part, _: part[None, :, :1] ** 2, images, 32, 0.3, 8)
    torch.testing.assert_close(blended, images[None, :, :1] ** 2)
    with pytest.raises(ValueError, match="only 77x20"):
        blend_tiles(lambda part, _: part, images[..., :20, :], 32, 0.3, 8)


@torch.no_grad()
def test_tiled_prediction_has_no_seams_and_one_tile_is_the_whole(small_model):
    image = torch.rand(1, 3, 64, 64)
    whole = small_model.predict(image, samples(1))[0].pred_saliency.data
    small_model.test_cfg["tile"] = dict(size=64, overlap=0.25)
    torch.testing.assert_close(small_model.predict(image, samples(1))[0].pred_saliency.data, whole)
    wide = torch.rand(1, 3, 96, 128)
    seen = small_model.predict(wide, samples(1, ori_shape=(96, 128)))[0].pred_saliency.data
    assert seen.shape == (1, 96, 128)
    # A corner that only one tile covers is what that tile alone gives: noise is cut out of the whole image's.
    noise = small_model.starting_noise(samples(1), 0, torch.zeros(1, 192, 12, 16), None)[..., :8, :8]
    conditions = small_model.encode_conditions(wide[..., :64, :64])
    context = small_model.decode_head.condition(conditions.features)
    steps = list(small_model.decode_head.sample(context, conditions.image_latent, noise, 4))
    alone = small_model.decode_mask(steps[-1].latent)
    torch.testing.assert_close(seen[:, :16, :16], alone[0, :, :16, :16], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["SegTTAModel", "SaliencyTTAModel"])
def test_test_time_augmentation_of_mmseg_averages_flips(small_model, kind):
    init_default_scope("mmseg")
    augmented = MODELS.build(dict(type=kind, module=small_model))
    image = (torch.rand(3, 64, 64) * 255).byte()
    facts = dict(img_path="/data/0.jpg", ori_shape=(64, 64), flip_direction="horizontal")
    batch = dict(
        inputs=[[image], [image.flip(-1)]],
        data_samples=[
            [SegDataSample(metainfo=dict(facts, flip=flip), gt_saliency=PixelData(data=torch.ones(1, 64, 64)))]
            for flip in (False, True)
        ],
    )
    merged = augmented.test_step(batch)[0]
    turned = image.flip(0)[None].float() / 255
    straight = small_model.predict(turned, samples(1))[0].pred_saliency.data
    flipped = small_model.predict(turned.flip(-1), samples(1))[0].pred_saliency.data.flip(-1)
    mean = (straight + flipped) / 2
    if kind == "SaliencyTTAModel":
        torch.testing.assert_close(merged.pred_saliency.data, mean, atol=1e-5, rtol=0)
        assert "gt_saliency" in merged
    sure = (mean - 0.5).abs() > 1e-4
    assert torch.equal(merged.pred_sem_seg.data.bool().view(1, 64, 64)[sure], (mean > 0.5)[sure])


@torch.no_grad()
def test_batch_size_order_and_workers_change_nothing(small_model, data_root, tmp_path):
    small_model.test_cfg.update(num_inference_steps=2, ensemble_size=2)
    config = small_config(data_root, tmp_path).test_dataloader
    dataset = DATASETS.build(config.dataset)

    def maps(batch_size: int, shuffle: bool, workers: int) -> dict[str, torch.Tensor]:
        options = dict(batch_size=batch_size, num_workers=workers, sampler=dict(type="DefaultSampler", shuffle=shuffle))
        loader = Runner.build_dataloader({**config, "dataset": dataset, **options}, seed=batch_size)
        return {s.img_path: s.pred_saliency.data for batch in loader for s in small_model.test_step(batch)}

    one = maps(1, False, 0)
    assert len(one) == 6
    for options in ((3, False, 0), (4, True, 0), (2, True, 2)):
        other = maps(*options)
        assert one.keys() == other.keys()
        for name, expected in one.items():
            torch.testing.assert_close(other[name], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ensemble_size": 4, "noise": "zero"}, "must be 1 with"),
        ({"tile": {"overlap": 0.5}}, "must have a `size`"),
        ({"tile": {"size": 64, "overlap": 0.95}}, "overlap"),
        ({"tile": {"sise": 64}}, "Did you mean 'size'"),
        ({"reduction": "mode"}, "median"),
        ({"threshold": 2}, r"\[0, 1\]"),
    ],
)
def test_bad_settings_are_refused(data_root, tmp_path, options, words):
    config = small_config(data_root, tmp_path)
    config.model.test_cfg = options
    with pytest.raises(ValueError, match=words):
        MODELS.build(config.model)


@torch.no_grad()
def test_one_step_from_zero_noise_is_the_negative_velocity(small_model):
    """With zero terminal SNR the first estimate of the mask's latent is -v, whatever the schedule."""
    head, images = small_model.decode_head, torch.rand(1, 3, 64, 64)
    conditions = small_model.encode_conditions(images)
    context = head.condition(conditions.features)
    zero = torch.zeros_like(conditions.image_latent)
    velocity = head.denoiser(conditions.image_latent, zero, torch.tensor(999), context)
    torch.testing.assert_close(head.one_step(*conditions), -velocity)
    small_model.test_cfg.update(num_inference_steps=1, noise="zero")
    predicted = small_model.predict(images, samples(1))[0].pred_saliency.data
    expected = functional.pixel_shuffle(-velocity, 8).mean(1).clamp(-1, 1) / 2 + 0.5
    torch.testing.assert_close(predicted, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_settings_of_one_call_are_those_of_a_model_built_with_them(small_model):
    images, before = torch.rand(2, 3, 64, 64), dict(small_model.test_cfg)
    changes = dict(num_inference_steps=2, ensemble_size=3, seed=5, reduction="median", stretch="member", threshold=0.2)
    changed = small_model.predict(images, samples(2), test_cfg=changes)
    assert small_model.test_cfg == before
    small_model.test_cfg.update(changes)
    for found, expected in zip(changed, small_model.predict(images, samples(2)), strict=True):
        for key in ("pred_saliency", "saliency_std", "pred_sem_seg"):
            assert torch.equal(found.get(key).data, expected.get(key).data)
    with pytest.raises(ValueError, match="Did you mean 'num_inference_steps'"):
        small_model.predict(images, samples(2), test_cfg=dict(num_inference_step=2))
