"""Times relighting in batches against a plain diffusers loop with the same calls, on small random models.

python tools/benchmarks/relighting.py --images 8 --steps 4 --batch-size 8

Both relight the same images by IC-Light's two passes from the same seeds, alternately: the loop calls diffusers' own
pipelines for one image after the other, encodes the prompt for each pass and the foreground before each pass, as the
published demo does. `--base` and `--offsets` time real weights, `--device cuda --dtype float16` a GPU.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sos_mm.generation.relighting.foregrounds import gradient, on_grey, working_size
from sos_mm.generation.relighting.light_prompts import draw_light, read_light_prompts
from sos_mm.generation.relighting.relighter import ICLightRelighter
from sos_mm.seeding import Purpose, generator

# Number of different prompts: they repeat, as they do in a data set.
PROMPTS = 3


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="height and width of the images (default: 64)")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps of each pass (default: 4)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", help="base model; default: small random weights")
    parser.add_argument("--offsets", help="offsets of IC-Light; with --base")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    return parser.parse_args()


def small_weights(folder: Path) -> tuple[str, str]:
    """Saves a small random base model and offsets for it; returns their paths."""
    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789,-'"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(**_files(folder, words), model_max_length=77)
    text = CLIPTextConfig(len(words), 64, 128, num_hidden_layers=4, num_attention_heads=4, eos_token_id=len(words) - 1)
    unet = dict(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 32, 32),
        norm_num_groups=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**unet),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "base")
    wide = UNet2DConditionModel(in_channels=8, **unet).state_dict()
    save_file({key: 0.02 * torch.randn(each.shape) for key, each in wide.items()}, folder / "offsets.safetensors")
    return str(folder / "base"), str(folder / "offsets.safetensors")


def _files(folder: Path, words: list[str]) -> dict[str, str]:
    """Writes the files of a tokenizer of single letters."""
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return {"vocab_file": str(folder / "vocab.json"), "merges_file": str(folder / "merges.txt")}


def plain_loop(light: ICLightRelighter) -> Callable:
    """Returns a function that relights one image by diffusers' pipelines, with the weights of a relighter."""
    ours = light.pipeline
    unet, vae = ours._unet, ours._vae
    forward, extra = unet.forward, {}

    def hooked(sample, timestep, encoder_hidden_states, **kwargs):
        condition = extra["latents"].to(sample.dtype).expand(len(sample), -1, -1, -1)
        return forward(torch.cat([sample, condition], 1), timestep, encoder_hidden_states, return_dict=False)

    parts = dict(
        vae=vae,
        text_encoder=ours._text_encoder,
        tokenizer=ours._tokenizer,
        unet=unet,
        scheduler=ours._passes._scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipelines = [cls(**parts) for cls in (StableDiffusionPipeline, StableDiffusionImg2ImgPipeline)]
    for each in pipelines:
        each.set_progress_bar_config(disable=True)
    options, sampling = ours._options, light._sampling

    @torch.no_grad()
    def encode(image: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(image).to(vae.device).permute(2, 0, 1)[None].float() / 127 - 1
        return vae.encode(pixels.to(vae.dtype)).latent_dist.mode() * vae.config.scaling_factor

    @torch.no_grad()
    def decode(latents: torch.Tensor) -> np.ndarray:
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample[0].float()
        return (pixels * 127.5 + 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

    def relight(image: np.ndarray, alpha: np.ndarray, plan: dict) -> np.ndarray:
        size = working_size(image.shape[:2], options.max_side)
        foreground = on_grey(image, alpha)
        common = dict(
            prompt=plan["prompt"],
            negative_prompt=options.negative_prompt,
            generator=torch.Generator().manual_seed(plan["seed"]),
            guidance_scale=sampling.guidance_scale,
            output_type="latent",
        )
        unet.forward = hooked
        extra["latents"] = encode(foreground)
        if plan["direction"] == "none":
            # The pipeline would draw as many channels as the widened U-Net takes.
            noise = torch.randn(1, 4, size[0] // 8, size[1] // 8, generator=common["generator"])
            noise = noise.to(unet.device, unet.dtype)
            latents = pipelines[0](latents=noise, num_inference_steps=sampling.steps, **common).images
        else:
            start = encode(gradient(plan["direction"], size))
            steps = dict(num_inference_steps=round(sampling.steps / 0.9), strength=0.9)
            latents = pipelines[1](image=start, **steps, **common).images
        again = encode(decode(latents))
        extra["latents"] = encode(foreground)
        steps = dict(num_inference_steps=round(sampling.steps / 0.5), strength=0.5)
        relit = decode(pipelines[1](image=again, **steps, **common).images)
        unet.forward = forward
        return relit

    return relight


def main() -> None:
    """Prints images per second of both, and their ratio, for each round."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base, offsets = (args.base, args.offsets) if args.base else small_weights(Path(folder))
        options = dict(steps=args.steps, added_prompt="", device=args.device, dtype=args.dtype)
        ways = {
            name: ICLightRelighter(base, offsets, reencode=reencode, **options)
            for name, reencode in (("ours", True), ("ours, latents passed on", False))
        }
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (args.size, args.size, 3), np.uint8) for _ in range(args.images)]
        alphas = [np.full((args.size, args.size), 255, np.uint8)] * args.images
        prompts = read_light_prompts()[:PROMPTS]
        draws = [generator(0, Purpose.RELIGHTING, index) for index in range(args.images)]
        plans = [draw_light(each, prompts, {"none": 4.0, "left": 2.0, "top": 2.0}) for each in draws]
        loop = plain_loop(ways["ours"])

        def in_batches(light: ICLightRelighter) -> list[np.ndarray]:
            parts = [slice(start, start + args.batch_size) for start in range(0, args.images, args.batch_size)]
            return [relit for part in parts for relit in light.relight_batch(images[part], alphas[part], plans[part])]

        def one_by_one() -> list[np.ndarray]:
            return [loop(*each) for each in zip(images, alphas, plans, strict=True)]

        runs: dict[str, Callable] = {"plain loop": one_by_one}
        runs |= {name: partial(in_batches, light) for name, light in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(args.rounds):
            results = {}
            for name, run in runs.items():
                start = time.perf_counter()
                results[name] = run()
                seconds[name].append(time.perf_counter() - start)
            pairs = zip(results["plain loop"], results["ours"], strict=True)
            apart = max(np.abs(one.astype(int) - other).mean() for one, other in pairs)
            print(
                ", ".join(f"{name} {args.images / times[-1]:.2f} images/s" for name, times in seconds.items()), end=""
            )
            print(f"; mean difference of loop and ours at most {apart:.3f} levels", flush=True)
        medians = {name: float(np.median(times)) for name, times in seconds.items()}
        for name in ways:
            print(f"{name}: {medians['plain loop'] / medians[name]:.2f} times as fast as the plain loop (medians)")
        if args.device.startswith("cuda"):
            print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
