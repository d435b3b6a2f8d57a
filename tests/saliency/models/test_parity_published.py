"""Parity with the authors' released code, line by line, and with a loop written from its description.

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
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn import functional

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency import (
    LatentDenoiser,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PlainCrossAttention,
    ResizeSaliency,
)
from sos_mm.saliency.models.base_segmentor import resized
from sos_mm.saliency.models.noise import MultiResolutionNoise
from sos_mm.saliency.models.settings import checked_test_cfg
from sos_mm.seeding import Purpose, generator, image_id
from tests.configs.test_models import shrink
from tests.saliency.conftest import CONFIGS

RELEASED = "sod_diffusion/sod_diffusion_swinb_released.py"
PUBLISHED = "sod_diffusion/sod_diffusion_swinb_published.py"


def small_config(name: str) -> Config:
    """A shipped config with shrunk networks for images of 64 x 64."""
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    leave_out_pretrained(config.model)
    config.model = shrink(config.model)
    # Twice as wide as f, so that repeating its channels shows.
    config.model.decode_head.unet.architecture.cross_attention_dim = 128
    for pipeline in pipelines(config):
        for step in pipeline:
            if step.type == "ResizeSaliency":
                step.scale = (64, 64)
    return config


def pipelines(config: Config) -> list:
    return [config[f"{kind}_dataloader"].dataset.pipeline for kind in ("train", "val", "test")]


def small_model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(small_config(name).model)
    model.draws = RunRandomness(0)
    return model


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


# Noise


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
    model.eval().test_cfg.update(steps=1, ensemble=1)
    with torch.no_grad():
        model.predict(images, samples(2))
    assert len(calls) == 2
    white = generator(0, Purpose.SAMPLING_NOISE, image_id("1.jpg"), 0).standard_normal((4, 8, 8), "f4")
    found = model.starting_noise(samples(2), 0, torch.zeros(2, 4, 8, 8), None)[1]
    assert torch.equal(found, torch.from_numpy(white))


def samples(number: int) -> list[SegDataSample]:
    masks = torch.zeros(number, 1, 64, 64)
    masks[..., 16:41, 20:51] = 1
    return [
        SegDataSample(
            metainfo=dict(sample_idx=i, img_path=f"/data/{i}.jpg", ori_shape=(64, 64)),
            gt_saliency=PixelData(data=masks[i]),
        )
        for i in range(number)
    ]


# Schedule


def signal_shares() -> np.ndarray:
    """What is left of the mask's variance at each of 1000 timesteps: betas are squares of evenly spaced numbers."""
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=np.float64) ** 2
    return np.cumprod(1 - betas)


def test_schedule_is_that_of_stable_diffusion():
    shares = signal_shares()
    scheduler = small_model(RELEASED).decode_head.scheduler
    np.testing.assert_allclose(scheduler.alphas_cumprod.numpy(), shares, rtol=2e-5)
    # 1 - beta_0, and the known end of this schedule, sqrt(.00466) = .0683, which is not zero.
    assert float(scheduler.alphas_cumprod[0]) == pytest.approx(0.99915, abs=1e-6)
    assert float(scheduler.alphas_cumprod[-1]) ** 0.5 == pytest.approx(0.0683, abs=1e-4)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    # What the published form mends: zero signal at the end, and steps that begin there.
    mended = small_model(PUBLISHED).decode_head.scheduler
    roots = np.sqrt(shares)
    rescaled = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    np.testing.assert_allclose(mended.alphas_cumprod.numpy(), rescaled, atol=1e-5)
    mended.set_timesteps(10)
    assert mended.timesteps.tolist() == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]


def test_target_is_the_velocity():
    head = small_model(RELEASED).decode_head
    torch.manual_seed(1)
    mask, noise = torch.randn(2, 3, 4, 8, 8)
    times = torch.tensor([0, 500, 999])
    share = torch.from_numpy(signal_shares())[times].view(-1, 1, 1, 1)
    expected = share.sqrt() * noise - (1 - share).sqrt() * mask
    torch.testing.assert_close(head._target(mask, noise, times), expected.float(), atol=1e-4, rtol=0)


# Ensemble


# Three members of one row of four pixels. Stretched they are (0, 1, .25, .5), (0, .5, 1, .5), (.5, 0, 1, .25).
MEMBERS = torch.tensor([[0.2, 0.6, 0.3, 0.4], [0.0, 0.1, 0.2, 0.1], [0.7, 0.5, 0.9, 0.6]]).view(3, 1, 1, 4)


@pytest.mark.parametrize(
    ("stretch", "expected"),
    [
        (None, [0.2, 0.5, 0.3, 0.4]),
        (False, [0.2, 0.5, 0.3, 0.4]),
        ("result", [0.0, 1.0, 1 / 3, 2 / 3]),
        (True, [0.0, 1.0, 1 / 3, 2 / 3]),
        ("member", [0.0, 0.5, 1.0, 0.5]),
        ("released", [0.0, 0.5, 1.0, 0.5]),
    ],
)
def test_members_are_stretched_one_by_one_before_the_median(stretch, expected):
    assert filled(MEMBERS, stretch=stretch) == pytest.approx(expected, abs=1e-6)


def filled(members: torch.Tensor, size: tuple[int, int] = (1, 4), **settings) -> list[float]:
    """What is written of an ensemble's maps (members, 1, H, W)."""
    model = small_model(RELEASED)
    model.test_cfg = checked_test_cfg(dict(reduction="median", **settings))
    sample = SegDataSample(metainfo=dict(ori_shape=size))
    return model.fill(sample, members).pred_saliency.data.flatten().tolist()


def test_their_median_is_stretched_once_more():
    """Two members, (0, 1, .5) and (.5, 0, 1): the lower of each pair is (0, 0, .5), which is stretched to (0, 0, 1)."""
    members = torch.tensor([[0.2, 0.6, 0.4], [0.4, 0.3, 0.5]]).view(2, 1, 1, 3)
    assert filled(members, (1, 3), stretch="member") == pytest.approx([0, 0, 0.5], abs=1e-6)
    assert filled(members, (1, 3), stretch="released") == pytest.approx([0, 0, 1], abs=1e-6)
    constant = torch.full((2, 1, 1, 3), 0.4)
    assert filled(constant, (1, 3), stretch="released") == pytest.approx([0.4] * 3)


def test_ensemble_is_reduced_before_it_is_enlarged():
    expected = np.asarray(Image.fromarray(np.array([[0, 0.5, 1, 0.5]], np.float32)).resize((9, 3), Image.BICUBIC))
    found = filled(MEMBERS, (3, 9), stretch="released", upsampling="bicubic")
    np.testing.assert_allclose(found, expected.clip(0, 1).ravel(), atol=1e-5)


@pytest.mark.parametrize("stretch", ["members", 1.0, "median"])
def test_other_stretches_are_refused(stretch):
    with pytest.raises(ValueError, match=r"test_cfg\.stretch"):
        checked_test_cfg(dict(stretch=stretch))


# Sizes

# Height and width before and after: larger, smaller, and one of each.
SHAPES = [((40, 60), (64, 64)), ((600, 417), (384, 384)), ((384, 384), (333, 500)), ((5, 1), (9, 9))]


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_photographs_and_masks_are_resized_by_pil(tmp_path, before, after):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*before, 3), dtype=np.uint8)
    mask = rng.integers(0, 256, before, dtype=np.uint8)
    mask[0, 0] = 255
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    results = dict(img_path=str(tmp_path / "image.png"), mask_path=str(tmp_path / "mask.png"))
    results = LoadSaliencyMask()(LoadSaliencyImage()(results))
    results["aux"] = results["img"].copy()
    scale = after[::-1]
    results = ResizeSaliency(scale, keep_ratio=False, backend="pillow", interpolation="bicubic")(results)
    expected = np.asarray(Image.open(tmp_path / "image.png").resize(scale, Image.BICUBIC))
    assert np.array_equal(results["img"][..., ::-1], expected)
    assert np.array_equal(results["aux"], results["img"])
    grey = np.asarray(Image.open(tmp_path / "mask.png").resize(scale, Image.BICUBIC))
    assert results["gt_saliency"].dtype == np.float32
    np.testing.assert_array_equal(results["gt_saliency"], grey.astype(np.float32) / 255)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_maps_are_resized_as_by_pil(before, after, mode):
    saliency = np.random.default_rng(1).random(before, np.float32)
    expected = np.asarray(Image.fromarray(saliency).resize(after[::-1], getattr(Image, mode.upper())))
    maps = torch.from_numpy(saliency)[None, None]
    found = resized(maps, after, mode)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=5e-5)
    exact = resized(maps.double(), after, mode)[0, 0].numpy()
    np.testing.assert_allclose(exact, expected, atol=1e-6)


def test_shipped_configs_resize_by_pil_both_ways():
    for name in (RELEASED, PUBLISHED):
        config = Config.fromfile(CONFIGS / name)
        steps = [step for pipeline in pipelines(config) for step in pipeline if step.type == "ResizeSaliency"]
        assert len(steps) == 3
        wanted = dict(type="ResizeSaliency", scale=(384, 384), keep_ratio=False)
        assert all(step == dict(wanted, backend="pillow", interpolation="bicubic") for step in steps)
        assert config.model.test_cfg.upsampling == "bicubic"
        assert not any(step.type == "FlipSaliency" for pipeline in pipelines(config) for step in pipeline)


# Branch and context


def test_auxiliary_target_lies_between_the_four_middle_pixels():
    """Bilinear by a factor of 1/8, without antialiasing."""
    model = small_model(RELEASED)
    head, features = model.decode_head, model.extract_feat(torch.rand(2, 3, 64, 64))
    mask = torch.rand(2, 1, 64, 64).repeat(1, 3, 1, 1) * 2 - 1
    middle = sum(mask[..., 3 + i :: 8, 3 + j :: 8] for i in (0, 1) for j in (0, 1)) / 4
    assert head.aux_target == "bilinear"
    for kind, target in (("bilinear", middle), ("area", functional.avg_pool2d(mask, 8))):
        head.aux_target = kind
        found = head.auxiliary_loss(features, mask)["loss_aux"]
        torch.testing.assert_close(found, ((head.auxiliary(features.f) - target) ** 2).mean())


@pytest.mark.parametrize("name", [RELEASED, PUBLISHED])
def test_drop_path_grows_to_a_fifth(name):
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    leave_out_pretrained(config.model)
    with torch.device("meta"):
        backbone = MODELS.build(config.model.backbone)
    paths = [module for module in backbone.modules() if hasattr(module, "drop_path1")]
    # 24 blocks; the first, whose rate is 0, has nothing to drop.
    rates = [getattr(path.drop_path1, "drop_prob", 0.0) for path in paths]
    assert rates == pytest.approx([0.2 * index / 23 for index in range(24)])


def test_context_repeats_64_channels_to_1024():
    config = Config.fromfile(CONFIGS / RELEASED).model.decode_head
    options = {key: value for key, value in config.afim.items() if key != "type"}
    width = config.unet.architecture.cross_attention_dim
    module = PlainCrossAttention(config.in_channels, width, levels=4, **options)
    f = torch.rand(2, 64, 48, 48)
    (context,) = module((f,)).maps
    assert context.shape == (2, 1024, 48, 48)
    for channel in (0, 63, 64, 700, 1023):
        assert torch.equal(context[:, channel], f[:, channel % 64])
    assert [module.level(level) for level in range(4)] == [0] * 4


def test_widened_input_keeps_its_bias(tmp_path):
    architecture = shrink(small_config(RELEASED).model).decode_head.unet.architecture
    torch.manual_seed(0)
    original = UNet2DConditionModel(**architecture)
    torch.nn.init.normal_(original.conv_in.bias)
    original.save_pretrained(tmp_path / "unet")
    widen = Config.fromfile(CONFIGS / RELEASED).model.decode_head.unet.widen
    widened = LatentDenoiser(str(tmp_path), widen=widen).unet.conv_in
    assert torch.equal(widened.bias, original.conv_in.bias)
    assert widened.weight.shape == (16, 8, 3, 3)
    assert not torch.isclose(widened.weight[:, :4], original.conv_in.weight / 2).any()
    # The published form mends this: the kernel over both latents, halved.
    mended = LatentDenoiser(str(tmp_path)).unet.conv_in
    torch.testing.assert_close(mended.weight, torch.cat([original.conv_in.weight / 2] * 2, 1))


# Optimiser


@pytest.mark.parametrize("kind", ["OptimWrapper", "AmpOptimWrapper"])
def test_gradients_of_the_unet_alone_are_clipped(kind, monkeypatch):
    config = small_config(RELEASED)
    assert config.optim_wrapper.clip_grad == dict(max_norm=1.0)
    config.optim_wrapper.update(type=kind)
    if kind == "AmpOptimWrapper":
        # It refuses to be built without a GPU, which clipping does not need.
        monkeypatch.setattr("mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available", lambda: True)
    model = small_model(RELEASED).train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    assert type(wrapper).__name__ == kind
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sum(len(group["params"]) for group in wrapper.param_groups) == len(list(model.parameters()))
    for parameter in trained.values():
        parameter.grad = torch.randn_like(parameter)
    before = {name: p.grad.clone() for name, p in trained.items()}
    wrapper._clip_grad()
    unet = {name for name in trained if name.startswith("decode_head.denoiser.unet.")}
    assert 0 < len(unet) < len(trained)
    norm = torch.sqrt(sum(before[name].square().sum() for name in unet))
    assert norm > 10
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, before[name] / norm if name in unet else before[name])
    # The norm that is logged is the U-Net's.
    assert wrapper.message_hub.get_scalar("train/grad_norm").current() == pytest.approx(float(norm), rel=1e-5)


def test_clipping_without_a_part_is_refused():
    config = small_config(RELEASED).optim_wrapper
    model = torch.nn.Linear(2, 2)
    with pytest.raises(AttributeError, match="decode_head"):
        build_optim_wrapper(model, config)
    with pytest.raises(ValueError, match="needs `clip_part` and `clip_grad`"):
        build_optim_wrapper(model, {**config, "clip_grad": None})
    del config.clip_part
    with pytest.raises(ValueError, match="needs `clip_part` and `clip_grad`"):
        build_optim_wrapper(model, config)


def test_schedule_of_training_is_theirs():
    for name in (RELEASED, PUBLISHED):
        config = Config.fromfile(CONFIGS / name)
        assert config.optim_wrapper.optimizer == dict(type="AdamW", lr=3e-5, weight_decay=1e-2)
        assert (config.param_scheduler, config.train_cfg.max_epochs) == ([], 500)
        assert config.train_dataloader.batch_size * 8 == config.auto_scale_lr.base_batch_size == 32
        assert (config.model.test_cfg.steps, config.model.test_cfg.ensemble) == (10, 10)
        assert [hook.type for hook in config.custom_hooks] == ["VisitHook"]


def test_published_form_differs_in_the_bugs_alone():
    released, published = (Config.fromfile(CONFIGS / name) for name in (RELEASED, PUBLISHED))
    bugs = {
        "model.image_range",
        "model.backbone.normalize",
        "model.backbone.output_norm",
        "model.backbone.always_partition",
        "model.neck",
        "model.decode_head.unet.widen",
        *(f"model.decode_head.scheduler.{key}" for key in ("rescale_betas_zero_snr", "timestep_spacing")),
        *(f"model.decode_head.scheduler.{key}" for key in ("steps_offset", "set_alpha_to_one")),
        "schedule",
    }
    assert set(differences(released.to_dict(), published.to_dict())) == bugs


def differences(one: dict, other: dict, place: str = "") -> list[str]:
    """Where two configs differ; of parts of unlike types the part as a whole."""
    found = []
    for key in one.keys() | other.keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict) and a.get("type") == b.get("type"):
            found += differences(a, b, f"{place}{key}.")
        elif a != b:
            found.append(place + key)
    return found


# All of it

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
