"""Times saliency models against the released behaviour, and against the sum of their parts, in one run.

    python tools/benchmarks/saliency_speed.py --size mid

Three comparisons, random weights, one image, the fastest of a few rounds taken in turns:

- inference: one step (with the VAE; with a tiny autoencoder in its place; pruned, with a light decoder) against the
  released behaviour, 10 steps for each of 10 members, for each of which the image is encoded anew;
- `predict` against the sum of its parts, each called alone;
- a training step (losses and gradients) from cached latents against U-Net and Swin alone, forward and backward.

`tiny` and `mid` are the shipped configs with narrower networks on 128 and 256 pixels (`dry`, on 64, only shows that the
scripts run), `full` is full size on 384.
There, without a GPU, the released behaviour is not run but added up from its parts, each measured, and is marked so.
With one thread seconds are those of this process alone: what else the machine does is not counted. On a GPU, gpu.sh
beside this file measures bf16, memory and the share of the roofline.
"""

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency.models.base_segmentor import to_signed
from sos_mm.saliency.models.latent_cache import LatentCache
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# Pixels, widths of the U-Net and its heads, of the VAE and the tiny autoencoder, layers of a block, and Swin's window.
SIZES = dict(
    dry=(64, (32, 32, 64, 64), (1, 1, 2, 2), (32, 32, 32, 32), 8, 1, 2),
    tiny=(128, (32, 64, 64, 64), (1, 2, 2, 2), (32, 32, 32, 32), 16, 2, 4),
    mid=(256, (96, 192, 384, 384), (3, 6, 12, 12), (32, 64, 128, 128), 16, 2, 8),
    full=(384, None, None, None, None, None, None),
)
STEPS = MEMBERS = 10
ONE_STEP = {
    "_1step": "one step, the VAE's decoder",
    "_1step_tiny-vae": "one step, tiny autoencoder",
    "_light": "one step, pruned, light decoder",
}


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="mid", help="of the models (default: mid)")
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison; the fastest counts (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--only", nargs="+", choices=("inference", "parts", "training"), help="default: all three")
    return parser.parse_args()


def build(name: str, size: str, device: str) -> LatentDiffusionSegmentor:
    """Builds the model of ``sod_diffusion_swinb<name>.py`` in one of the sizes, with random weights."""
    folder = CONFIGS / "sod_diffusion" if name else CONFIGS
    model = Config.fromfile(folder / f"sod_diffusion_swinb{name}.py").model
    leave_out_pretrained(model)
    pixels, widths, heads, vae, tiny, layers, window = SIZES[size]
    if widths is not None:
        model.backbone.update(model_name="swin_tiny_patch4_window7_224", img_size=pixels, window_size=window)
        model.decode_head.unet.architecture.update(
            block_out_channels=list(widths),
            layers_per_block=layers,
            attention_head_dim=list(heads),
            cross_attention_dim=256,
        )
        if model.codec.type == "TinyAutoencoder":
            # As much narrower as the VAE is.
            model.codec.architecture = {f"{part}_block_out_channels": [tiny] * 4 for part in ("encoder", "decoder")}
        else:
            model.codec.architecture.update(block_out_channels=list(vae), layers_per_block=layers)
    if "teacher" in model:
        # A distilled model runs without its teacher.
        model.type = "LatentDiffusionSegmentor"
        del model.teacher, model.loss_distill
    built = MODELS.build(model).to(device).eval()
    built.draws = RunRandomness(0)
    return built


def fastest(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Returns the minimum seconds of each call over alternating rounds, after one warm-up."""
    times = [[] for _ in calls]
    for number in range(rounds + (rounds > 1)):
        for call, seconds in zip(calls, times, strict=True):
            start = now()
            call()
            if number or rounds == 1:
                seconds.append(now() - start)
    return [min(each) for each in times]


def now() -> float:
    """Returns the time in seconds, after all GPU work is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def inputs_of(size: str, device: str) -> tuple[Tensor, list[SegDataSample]]:
    """Returns one image of noise, (1, 3, H, W), and its data sample."""
    pixels = SIZES[size][0]
    facts = dict(img_path="0.jpg", sample_idx=0, ori_shape=(pixels, pixels))
    sample = SegDataSample(metainfo=facts, gt_saliency=PixelData(data=torch.ones(1, pixels, pixels)))
    return torch.rand(1, 3, pixels, pixels, device=device), [sample]


@torch.no_grad()
def as_released(model: LatentDiffusionSegmentor, image: Tensor, samples: list[SegDataSample]) -> Tensor:
    """Predicts as the released code does: every member encodes the image, every pass computes its keys and values."""
    maps = []
    for member in range(MEMBERS):
        conditions = model.encode_conditions(image)
        noise = model.starting_noise(samples, member, conditions.image_latent, None)
        context = model.decode_head.afim(conditions.features.pyramid)
        *_, last = model.decode_head.sample(context, conditions.image_latent, noise, STEPS)
        maps.append(model.decode_mask(last.latent))
    return torch.stack(maps).median(0).values


@torch.no_grad()
def added_up(model: LatentDiffusionSegmentor, image: Tensor, rounds: int) -> float:
    """Returns the seconds of `as_released` as the sum of encoding, one pass, and decoding."""
    conditions = model.encode_conditions(image)
    latent = torch.randn_like(conditions.image_latent)
    context = model.decode_head.afim(conditions.features.pyramid)
    step = torch.tensor(500)
    encode, unet, decode = fastest(
        rounds,
        lambda: model.encode_conditions(image),
        lambda: model.decode_head.denoiser(conditions.image_latent, latent, step, context),
        lambda: model.decode_mask(latent),
    )
    print(f"  released, its parts: image encoded {encode:.3f} s, U-Net pass {unet:.3f} s, decoded {decode:.3f} s")
    return MEMBERS * (encode + STEPS * unet + decode)


@torch.no_grad()
def time_released(size: str, rounds: int, device: str) -> float:
    """Returns the seconds per image of the released behaviour, and prints them."""
    image, samples = inputs_of(size, device)
    model = build("_released", size, device)
    if size == "full" and device == "cpu":
        seconds, how = added_up(model, image, rounds), ", added up"
    else:
        # A hundred passes average themselves.
        (seconds,), how = fastest(1, lambda: as_released(model, image, samples)), ""
    print(f"  released, {STEPS} x {MEMBERS} U-Net passes{how}: {seconds:.3f} s an image")
    return seconds


@torch.no_grad()
def time_predict(name: str, size: str, rounds: int, device: str) -> float:
    """Returns the seconds per image of a config's `predict`."""
    image, samples = inputs_of(size, device)
    model = build(name, size, device)
    return fastest(rounds, lambda: model.predict(image, samples))[0]


def compare_inference(size: str, rounds: int, device: str) -> None:
    """Prints seconds an image of the released behaviour, of one step, and of the light one."""
    peer = time_released(size, rounds, device)
    for name, what in ONE_STEP.items():
        gc.collect()
        ours = time_predict(name, size, rounds, device)
        print(f"  {what}: {ours:.3f} s an image, {peer / ours:.1f} times as fast")


@torch.no_grad()
def compare_parts(size: str, rounds: int, device: str) -> None:
    """Prints `predict` of one step beside the sum of its parts, called alone."""
    image, samples = inputs_of(size, device)
    model = build("_1step", size, device)
    head, vae = model.decode_head, model.codec.vae
    stages = model.backbone(image)
    features = model.neck(stages)
    latent = model.image_latents(image)
    context, step = head.condition(features), torch.tensor(999, device=device)
    parts = {
        "Swin": lambda: model.backbone(image),
        "fusion": lambda: model.neck(stages),
        "VAE encoder": lambda: vae.encode(to_signed(image)),
        "keys and values": lambda: head.condition(features),
        "U-Net": lambda: head.denoiser.unet(
            torch.cat([latent, latent], 1), step, encoder_hidden_states=head.afim.at(context, step)
        ),
        "VAE decoder": lambda: vae.decode(latent),
    }
    whole, *each = fastest(rounds, lambda: model.predict(image, samples), *parts.values())
    shares = ", ".join(f"{name} {seconds:.3f}" for name, seconds in zip(parts, each, strict=True))
    print(f"  predict {whole:.3f} s; parts {sum(each):.3f} s ({shares}): {whole / sum(each):.3f} times")


def training_steps(
    model: LatentDiffusionSegmentor, images: Tensor, samples: list[SegDataSample], folder: Path
) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """Returns three calls, each of which computes gradients of a batch.

    Args:
        model: The model, in training mode.
        images: (B, 3, H, W).
        samples: The batch's samples, all of the same first image.
        folder: Where a cache of random latents is written.

    Returns:
        The model's losses from cached latents; U-Net and encoder alone; the U-Net alone.
    """
    side, channels = images.shape[-1] // model.codec.stride, model.codec.latent_channels
    for name in ("image", "mask"):
        latents = np.random.default_rng(0).normal(size=(1, 2, channels, side, side))
        np.save(folder / f"{name}.npy", latents.astype("f2"))
    model.latent_cache = LatentCache(folder)
    latent, head = torch.randn(len(images), channels, side, side, device=images.device), model.decode_head
    timesteps = torch.full((len(images),), 500, device=images.device)
    with torch.no_grad():
        context = head.afim.at(head.afim(model.extract_feat(images).pyramid), timesteps)

    def step() -> None:
        model.zero_grad()
        sum(model.loss(images, samples).values()).backward()

    def bare(encoder: bool) -> None:
        model.zero_grad()
        loss = head.denoiser(latent, latent, timesteps, context).float().square().mean()
        if encoder:
            loss = loss + sum(stage.float().square().mean() for stage in model.backbone(images))
        loss.backward()

    return step, lambda: bare(encoder=True), lambda: bare(encoder=False)


def compare_training(size: str, rounds: int, device: str) -> None:
    """Prints a training step from cached latents beside U-Net and Swin alone, forward and backward."""
    image, samples = inputs_of(size, device)
    model = build("", size, device).train()
    with tempfile.TemporaryDirectory() as folder:
        step, bare, _ = training_steps(model, image, samples, Path(folder))
        ours, theirs = fastest(rounds, step, bare)
    print(f"  training step {ours:.3f} s; U-Net and Swin alone {theirs:.3f} s: {ours / theirs:.3f} times")


def main() -> None:
    """Prints the comparisons."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope("mmseg")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels = SIZES[args.size][0]
    print(f"{args.size} size, {pixels} x {pixels} pixels, float32, {device}, {args.threads} threads")
    compare = dict(inference=compare_inference, parts=compare_parts, training=compare_training)
    for name in args.only or compare:
        print(name)
        compare[name](args.size, args.rounds, device)
        gc.collect()
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
