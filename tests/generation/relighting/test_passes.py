"""The two passes against a plain loop of diffusers' own pipelines, and what must not depend on the batch."""

import copy
from functools import lru_cache

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image

from sos_mm.composition import BatchRelighter, Light, Relighter, build_relighter, build_steps
from sos_mm.generation.relighting.passes import build_scheduler
from tests.generation.relighting.models import make_base, make_offsets, save_offsets

PLANS = [
    {"prompt": "soft light", "direction": "left", "seed": 11},
    {"prompt": "neon", "direction": "none", "seed": 12},
    {"prompt": "soft light", "direction": "bottom", "seed": 13},
    {"prompt": "moonlight", "direction": "top", "seed": 14},
]


def relighter(weights, **options):
    return build_relighter({"type": "ICLightRelighter", **weights, **options})


def relit(light, scenes, plans=PLANS):
    images, alphas = zip(*scenes[: len(plans)], strict=True)
    return light.relight_batch(images, alphas, plans)


def pixels(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 127 - 1


@lru_cache
def plain_pipeline(base) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(base, safety_checker=None, requires_safety_checker=False)


@torch.inference_mode()
def plain_loop(base, conditions, plan, size, steps, scheduler=None, upscale=1.0, between=None, negative=""):
    """One image as the published demo relights it: two pipelines, a U-Net whose input is widened by a hook.

    Returns the latents after each pass. The image between them is `between`, after a check that it is the same but for
    the rounding of single pixels; None passes the first latents on.
    """
    pipe = plain_pipeline(base)
    unet, vae = copy.deepcopy(pipe.unet), pipe.vae
    wide = torch.nn.Conv2d(4 + 4 * len(conditions), 16, 3, 1, 1)
    wide.weight.zero_()
    wide.weight[:, :4], wide.bias.data[:] = unet.conv_in.weight, unet.conv_in.bias
    unet.conv_in = wide
    offsets = make_offsets({1: "fc", 2: "fbc"}[len(conditions)])
    unet.load_state_dict({key: each + offsets[key].float() for key, each in unet.state_dict().items()})
    forward = unet.forward

    def encode(array):
        return vae.encode(pixels(array)).latent_dist.mode() * vae.config.scaling_factor

    def concatenated(size):
        images = [np.array(Image.fromarray(each).resize(size[::-1], Image.LANCZOS)) for each in conditions]
        return torch.cat([encode(each) for each in images], 1)

    def hooked(sample, timestep, encoder_hidden_states, **kwargs):
        extra = latents_of_conditions.expand(len(sample), -1, -1, -1)
        kwargs["cross_attention_kwargs"] = None
        return forward(torch.cat([sample, extra], 1), timestep, encoder_hidden_states, **kwargs)

    unet.forward = hooked
    scheduler = scheduler or DPMSolverMultistepScheduler.from_config(
        pipe.scheduler.config, algorithm_type="sde-dpmsolver++", use_karras_sigmas=True
    )
    parts = {**pipe.components, "unet": unet, "scheduler": scheduler}
    text_to_image = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    image_to_image = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    for each in (text_to_image, image_to_image):
        each.set_progress_bar_config(disable=True)
    embed = [pipe.encode_prompt(text, "cpu", 1, False)[0] for text in (plan["prompt"], negative)]
    common = dict(
        prompt_embeds=embed[0],
        negative_prompt_embeds=embed[1],
        generator=torch.Generator().manual_seed(plan["seed"]),
        guidance_scale=2.0,
        output_type="latent",
    )
    latents_of_conditions = concatenated(size)
    if plan["direction"] == "none":
        first = text_to_image(height=size[0], width=size[1], num_inference_steps=steps, **common).images
    else:
        ramp = {
            "left": np.tile(np.linspace(255, 0, size[1]), (size[0], 1)),
            "right": np.tile(np.linspace(0, 255, size[1]), (size[0], 1)),
            "top": np.tile(np.linspace(255, 0, size[0])[:, None], (1, size[1])),
            "bottom": np.tile(np.linspace(0, 255, size[0])[:, None], (1, size[1])),
        }[plan["direction"]]
        start = encode(np.stack((ramp,) * 3, -1).astype(np.uint8))
        number = round(steps / 0.9)
        first = image_to_image(image=start, strength=0.9, num_inference_steps=number, **common).images
    again, larger = first, tuple(int(round(side * upscale / 64) * 64) for side in size)
    if between is not None:
        decoded = vae.decode(first / vae.config.scaling_factor).sample[0].permute(1, 2, 0)
        image = (decoded * 127.5 + 127.5).numpy().clip(0, 255).astype(np.uint8)
        assert np.abs(image.astype(int) - between).max() <= 1
        assert (image != between).mean() < 0.01
        again = encode(np.array(Image.fromarray(between).resize(larger[::-1], Image.LANCZOS)))
    latents_of_conditions = concatenated(larger)
    number = round(steps / 0.5)
    second = image_to_image(image=again, strength=0.5, num_inference_steps=number, **common).images
    return first, second


class Seen(list):
    """Latents, and the images that they were decoded to."""

    def __init__(self):
        super().__init__()
        self.images = []


@pytest.fixture
def seen(monkeypatch):
    """The latents that a pipeline decodes: after the first pass (where it is decoded), and after the second."""
    from sos_mm.generation.relighting.pipeline import ICLightPipeline

    found, decode = Seen(), ICLightPipeline._decode

    def noted(self, latents):
        images = decode(self, latents)
        found.append(latents)
        found.images.append(images)
        return images

    monkeypatch.setattr(ICLightPipeline, "_decode", noted)
    return found


def grey_foreground(image, alpha):
    return (127 + (image.astype(np.float32) - 127) * (alpha[..., None].astype(np.float32) / 255)).astype(np.uint8)


@pytest.mark.parametrize("reencode", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_passes_agree_with_a_plain_loop(weights, scenes, seen, reencode):
    light = relighter(weights, steps=3, negative_prompt="", reencode=reencode)
    for (image, alpha), plan in zip(scenes, PLANS, strict=True):
        seen.clear()
        seen.images.clear()
        relit(light, [(image, alpha)], [plan])
        foreground = [grey_foreground(image, alpha)]
        between = seen.images[0][0] if reencode else None
        wanted = plain_loop(weights["base"], foreground, plan, (64, 64), 3, between=between)
        for found, want in zip(seen, wanted if reencode else wanted[1:], strict=True):
            torch.testing.assert_close(found, want, rtol=0, atol=1e-4)


def test_second_pass_at_a_larger_size(weights, scenes, seen):
    light = relighter(weights, steps=2, negative_prompt="", upscale=2.0)
    (made,) = relit(light, scenes, PLANS[:1])
    assert made.shape == scenes[0][0].shape
    # The condition of the second pass: Lanczos windows of PIL and of OpenCV differ a little.
    foreground, between = [grey_foreground(*scenes[0])], seen.images[0][0]
    wanted = plain_loop(weights["base"], foreground, PLANS[0], (64, 64), 2, upscale=2.0, between=between)
    assert seen[1].shape == wanted[1].shape == (1, 4, 16, 16)
    torch.testing.assert_close(seen[0], wanted[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(seen[1], wanted[1], rtol=0, atol=0.05)


def test_background_is_a_condition_of_fbc(weights, scenes, seen, tmp_path):
    from sos_mm.generation.relighting.foregrounds import without_objects

    offsets = str(save_offsets(tmp_path / "fbc.safetensors", "fbc"))
    light = relighter(weights, offsets=offsets, variant="fbc", negative_prompt="")
    plan = light.plan(Light(90, 45), np.random.default_rng(0))
    assert plan["direction"] == "none"
    relit(light, scenes, [plan])
    conditions = [grey_foreground(*scenes[0]), without_objects(*scenes[0])]
    wanted = plain_loop(weights["base"], conditions, plan, (64, 64), 2, between=seen.images[0][0])
    torch.testing.assert_close(seen[1], wanted[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "LCMScheduler",
        "EulerAncestralDiscreteScheduler",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("DDIMScheduler", "HeunDiscreteScheduler")),
    ],
)
def test_other_schedulers(weights, scenes, seen, name):
    light = relighter(weights, steps=2, negative_prompt="", scheduler={"type": name})
    relit(light, scenes, PLANS[:2])
    for place, plan in enumerate(PLANS[:2]):
        scheduler = build_scheduler({"type": name}, plain_pipeline(weights["base"]).scheduler.config)
        foreground, between = [grey_foreground(*scenes[place])], seen.images[0][place]
        wanted = plain_loop(weights["base"], foreground, plan, (64, 64), 2, scheduler, between=between)
        torch.testing.assert_close(seen[1][place][None], wanted[1], rtol=0, atol=1e-4)


def test_batch_size_changes_no_noise_and_at_most_one_level(weights, scenes):
    light = relighter(weights)
    together, alone = (
        relit(light, scenes),
        [relit(light, [each], [plan])[0] for each, plan in zip(scenes, PLANS, strict=True)],
    )
    pairs = relit(light, scenes[:2], PLANS[:2]) + relit(light, scenes[2:], PLANS[2:])
    for first, second, third in zip(together, alone, pairs, strict=True):
        assert np.abs(first.astype(int) - second).max() <= 1
        assert np.abs(first.astype(int) - third).max() <= 1
    # The same bytes with the same batch size, from weights that are loaded anew too.
    for one, two, three in zip(together, relit(light, scenes), relit(relighter(weights), scenes), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    # Another seed or another prompt gives another image.
    for change in ({"seed": 99}, {"prompt": "dusk"}, {"direction": "right"}):
        assert (relit(light, scenes, [{**PLANS[0], **change}])[0] != together[0]).mean() > 0.1


def test_it_is_a_relighter_of_recipes(weights, scenes):
    light = relighter(weights)
    assert isinstance(light, Relighter)
    assert isinstance(light, BatchRelighter)
    image, alpha = scenes[0]
    before = image.copy()
    first, again = (light.relight(image, alpha, Light(90, 45), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, before)
    assert (first.shape, first.dtype) == (image.shape, np.uint8)
    (step,) = build_steps([{"type": "AreaWeightedBlend", "relighter": {"type": "ICLightRelighter", **weights}}])
    assert step.relighter == light


def test_half_precision(weights, scenes):
    whole, half = (relit(relighter(weights, dtype=dtype), scenes) for dtype in ("float32", "bfloat16"))
    assert np.mean([np.abs(one.astype(int) - other).mean() for one, other in zip(whole, half, strict=True)]) < 12
    with pytest.raises(ValueError, match="on the CPU, but got 'float16'"):
        relit(relighter(weights, dtype="float16"), scenes)


def test_images_of_any_size(weights):
    rng = np.random.default_rng(0)
    light = relighter(weights, max_side=64)
    for size in ((50, 70), (20, 300), (130, 128)):
        image, alpha = rng.integers(0, 256, (*size, 3), np.uint8), np.full(size, 255, np.uint8)
        assert light.relight_batch([image], [alpha], PLANS[:1])[0].shape == image.shape
    with pytest.raises(ValueError, match="must all have the size"):
        light.relight_batch([image, image[:64]], [alpha, alpha[:64]], PLANS[:2])


def test_too_long_prompts_and_lack_of_memory_are_told(weights, scenes, monkeypatch):
    light = relighter(weights)
    with pytest.raises(ValueError, match="at most 77 tokens"):
        relit(light, scenes, [{**PLANS[0], "prompt": "x" * 80}])

    def fail(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried")

    monkeypatch.setattr(type(light.pipeline), "_decode", fail)
    with pytest.raises(MemoryError, match="Relighting 1 images"):
        relit(light, scenes, PLANS[:1])


def test_repeated_prompts_and_gradients_are_encoded_once(weights, scenes, monkeypatch):
    light = relighter(weights)
    calls = []
    monkeypatch.setattr(type(light.pipeline._vae), "encode", counted(calls, "vae", type(light.pipeline._vae).encode))
    texts = type(light.pipeline)._encode_texts
    monkeypatch.setattr(type(light.pipeline), "_encode_texts", counted(calls, "texts", texts))
    for _ in range(2):
        relit(light, scenes, [{**PLANS[0], "seed": seed} for seed in range(4)])
    # The foregrounds, the gradient (once), and the first pass's images: not the foregrounds again.
    assert (calls.count("texts"), calls.count("vae")) == (1, 5)


def counted(calls, name, function):
    def call(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "fcb"}, "`variant` must be one of 'fc', 'fbc'"),
        ({"steps": 0}, "`steps` must be an integer"),
        ({"second_denoise": 0}, r"`second_denoise` must be in \[0\.01, 1\]"),
        ({"dtype": "half"}, "`dtype` must be one of"),
        ({"base": None}, "`base` must be a text"),
        ({"directions": {"up": 1}}, "`directions` must be one of"),
        ({"directions": {"left": 0}}, "a weight over 0"),
        ({"variant": "fbc", "directions": {"left": 1}}, "must be None with the variant 'fbc'"),
        ({"scheduler": {"algorithm_type": "x"}}, "`scheduler` must have a `type`"),
        ({"reencode": 1}, "`reencode` must be true or false"),
        ({"denoise": 1}, "key of ICLightRelighter"),
    ],
)
def test_faulty_settings_are_refused_without_loading(options, message):
    with pytest.raises(ValueError, match=message):
        relighter({}, **options)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({"type": "FastScheduler"}, "the name of a scheduler of diffusers"),
        ({"type": "DPMSolverSDEScheduler"}, "depends on the batch size"),
        ({"type": "DDIMScheduler", "karras": True}, "has no option 'karras'"),
        ({"type": "DPMSolverMultistepScheduler", "algorithm_type": "none"}, "cannot be built"),
    ],
)
def test_faulty_schedulers(scheduler, message):
    with pytest.raises(ValueError, match=message):
        build_scheduler(scheduler, {})


def test_missing_weights_are_named_with_size_and_licence(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"iclight_sd15_fc\.safetensors.*1\.7 GB.*CreativeML OpenRAIL-M"):
        relighter(weights, base=str(tmp_path / "none")).pipeline  # noqa: B018
    with pytest.raises(FileNotFoundError, match=r"iclight_sd15_fc\.safetensors.*1\.7 GB.*CreativeML OpenRAIL-M"):
        relighter(weights, offsets=str(tmp_path / "none.safetensors")).pipeline  # noqa: B018
    # Offsets for a base model of other sizes.
    other = make_base(tmp_path / "base")
    save_offsets(tmp_path / "fbc.safetensors", "fbc")
    with pytest.raises(ValueError, match="it is of the variant 'fbc'"):
        relighter(weights, base=str(other), offsets=str(tmp_path / "fbc.safetensors")).pipeline  # noqa: B018
