"""Measures drawing segments against a plain loop over diffusers' pipeline, image by image, with the same calls.

python tools/benchmarks/drawing.py                      # a small random model on the CPU
python tools/benchmarks/drawing.py --model FOLDER --steps 4 --size 1024 --batch-size 8 --device cuda --dtype bfloat16

Both draw the same prompts with the same seeds; the largest difference of their images is printed. Each is repeated, in
turns, and the fastest repetition counts. The small model has the shape of Stable Diffusion 1.5.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sos_mm.generation.loading import load_pipeline, place_pipeline
from sos_mm.generation.prompts import TemplatePrompts
from sos_mm.generation.source_images import seed_of
from sos_mm.generation.text_to_image import TextToImage

_WIDTHS = (32, 64)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or hub id of a model (default: a small random one)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, default=8, help="number of prompts (default: 8)")
    parser.add_argument("--images", type=int, default=3, help="images of each prompt (default: 3)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=64, help="height and width of the images")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def small_tokenizer() -> CLIPTokenizer:
    """Makes a tokenizer of single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz.,-"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text("{" + ", ".join(f'"{word}": {index}' for index, word in enumerate(words)) + "}")
        merges.write_text("#version: 0.2\na b\n")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)


def small_pipeline() -> DiffusionPipeline:
    """Makes a small random pipeline of the shape of Stable Diffusion 1.5."""
    torch.manual_seed(0)
    tokenizer = small_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
    )
    unet = UNet2DConditionModel(
        block_out_channels=_WIDTHS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    parts = dict(vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler())
    pipeline = StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    return place_pipeline(pipeline, torch.device("cpu"))


def fastest(functions: dict[str, Callable[[], np.ndarray]], repeats: int) -> dict[str, tuple[float, np.ndarray]]:
    """Calls functions in turns; returns the seconds of the fastest call of each, and its result."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    results = {}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            results[name] = function()
            seconds[name].append(time.perf_counter() - start)
    return {name: (min(taken), results[name]) for name, taken in seconds.items()}


def main() -> None:
    """Prints images per second of both, their ratio, and the memory of a GPU."""
    args = parse_args()
    load = {"device": args.device, "dtype": args.dtype}
    pipeline = load_pipeline(args.model, **load) if args.model else small_pipeline()
    written = TemplatePrompts(args.prompts).write(["mug"], 0)
    texts = [prompt.text for prompt in written for _ in range(args.images)]
    seeds = [seed_of(0, index) for index in range(len(texts))]
    sampling = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    sampling |= {"height": args.size, "width": args.size}
    if isinstance(pipeline, StableDiffusionPipeline):
        sampling["negative_prompt"] = "blurred, cropped"

    def plain() -> np.ndarray:
        found = []
        for text, seed in zip(texts, seeds, strict=True):
            noise = torch.Generator("cpu").manual_seed(seed)
            found += list(pipeline(prompt=text, **sampling, generator=noise, output_type="np").images)
        return np.rint(np.stack(found) * 255).astype(np.uint8)

    def ours() -> np.ndarray:
        drawn = TextToImage(pipeline, sampling, args.batch_size).draw(texts, seeds)
        return np.stack([each.image for each in drawn])

    found = fastest({"plain loop": plain, "drawing": ours}, args.repeats)
    for name, (seconds, _) in found.items():
        print(f"{name:12} {len(texts) / seconds:8.2f} images/s")
    (slow, before), (fast, after) = found.values()
    difference = np.abs(before.astype(int) - after).max()
    print(f"{slow / fast:.2f} times as fast; largest difference of a pixel: {difference} levels of 255")
    if torch.cuda.is_available():
        print(f"most memory of the GPU: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
