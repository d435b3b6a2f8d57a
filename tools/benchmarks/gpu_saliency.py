"""Measures the saliency model on a GPU in bf16, random weights, and writes one JSON file; gpu.sh starts it.

    python tools/benchmarks/gpu_saliency.py --out gpu.json

Prediction (one step, with a tiny autoencoder, with a light decoder; 4 steps; 10 steps for each of 10 members), a
training step from cached latents beside the bare U-Net's, and speed and memory of growing batches. The file is written
anew after each measurement, so that an end before the last one loses nothing; it lists what there was no time for.

Limits: random weights and noise images; no decoding of files; the fastest of a few rounds. The share of the roofline is
that of a lower bound of time: the larger of doing all floating-point operations at the rate of a large matrix product,
and of reading each weight once a pass at the rate of a copy, both measured here. On a CPU, in a dry run, it means
nothing.
"""

import argparse
import gc
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from saliency_speed import SIZES, build, fastest, inputs_of, training_steps
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sos_mm import __version__
from sos_mm.atomic import write_atomic

# Config, sampling steps, members (None: those of `--many`), and what it is called.
PREDICTIONS: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("_1step", 1, 1, "one step, Stable Diffusion's VAE"),
    ("_1step_tiny-vae", 1, 1, "one step, tiny autoencoder"),
    ("_light", 1, 1, "one step, pruned, light decoder"),
    ("", 4, 1, "4 steps"),
    ("", None, None, "{many} steps for each of {many} members"),
)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the JSON file (default: gpu.json)")
    parser.add_argument("--size", choices=SIZES, default="full", help="of the models (default: full)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is for dry runs")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch (default: 8)")
    parser.add_argument("--largest", type=int, default=BATCHES[-1], help="batch of those that grow (default: 64)")
    parser.add_argument("--many", type=int, default=10, help="steps and members of the longest one (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="the fastest of so many counts (default: 5)")
    parser.add_argument("--seconds", type=float, default=420, help="after which nothing new is begun (default: 420)")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU: run `bash tools/benchmarks/gpu.sh --dry-run`, or on a machine that has one")
    return args


class Report:
    """What has been measured, written to its file after each measurement.

    Args:
        path: The JSON file.
        facts: What was measured on.
        seconds: After which no measurement is begun.
    """

    def __init__(self, path: Path, facts: dict, seconds: float):
        self.path = path
        self.end = time.perf_counter() + seconds
        self.content: dict = dict(facts, measured={}, left_out=[], failed={})

    def add(self, name: str, measure: Callable[[], object]) -> object:
        """Measures and keeps the result; None if there is no time left, or if it failed, which is noted as well."""
        if time.perf_counter() > self.end:
            self.content["left_out"].append(name)
        else:
            try:
                self.content["measured"][name] = measure()
            except Exception as error:  # The others are measured all the same.
                self.content["failed"][name] = f"{type(error).__name__}: {error}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, (json.dumps(self.content, indent=2) + "\n").encode())
        print(name, self.content["measured"].get(name, self.content["failed"].get(name, "no time left")), flush=True)
        return self.content["measured"].get(name)


def facts_of(args: argparse.Namespace) -> dict:
    """Lists what is measured, and on what."""
    gpu = args.device == "cuda"
    return dict(
        command=" ".join(sys.argv),
        dry_run=not gpu or args.size != "full",
        device=torch.cuda.get_device_name() if gpu else "cpu",
        memory_gib=torch.cuda.get_device_properties(0).total_memory / 2**30 if gpu else None,
        versions=dict(
            sos_mm=__version__, torch=torch.__version__, cuda=torch.version.cuda, python=platform.python_version()
        ),
        size=args.size,
        pixels=SIZES[args.size][0],
        precision="bf16 autocast over float32 weights; the VAE's encoder in float32" if gpu else "float32",
        batch=args.batch,
        rounds=args.rounds,
    )


def matrix_rate(device: str) -> float:
    """Returns the FLOP per second of a product of two large square matrices, bf16 on a GPU."""
    side, dtype = (8192, torch.bfloat16) if device == "cuda" else (512, torch.float32)
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    (seconds,) = fastest(5, lambda: matrix @ matrix)
    return 2 * side**3 / seconds


def copy_rate(device: str) -> float:
    """Returns the bytes per second that are read and written by copying a large array."""
    source = torch.empty(2**30 if device == "cuda" else 2**22, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    (seconds,) = fastest(5, lambda: target.copy_(source))
    return 2 * source.numel() / seconds


def weight_bytes(model: nn.Module, passes: int) -> int:
    """Counts the bytes of reading all weights once in bf16, the U-Net's once a pass."""
    sizes = {"all": model, "unet": model.decode_head.denoiser}
    counts = {name: sum(weight.numel() for weight in part.parameters()) for name, part in sizes.items()}
    return 2 * (counts["all"] + (passes - 1) * counts["unet"])


def roofline_share(seconds: float, flop: float, read: float, rates: dict[str, float]) -> float:
    """Returns the share of a measured time that the faster of computing and reading would need at least.

    Args:
        seconds: The measured time.
        flop: Floating-point operations.
        read: Bytes that must be read.
        rates: ``matrix_flop_per_s`` and ``copy_bytes_per_s`` of the device.
    """
    return max(flop / rates["matrix_flop_per_s"], read / rates["copy_bytes_per_s"]) / seconds


def peak_memory(device: str) -> float | None:
    """Returns the most GPU memory that was allocated since it was last asked for, in GiB; None on a CPU."""
    if device != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return round(peak, 2)


def half_precision(device: str) -> torch.autocast:
    """Returns the context of computing in bf16, which is that of float32 on a CPU, where bf16 may be far slower."""
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def measure_prediction(
    model: nn.Module, args: argparse.Namespace, batch: int, steps: int, members: int, rates: dict
) -> dict:
    """Measures prediction of a batch."""
    image, samples = inputs_of(args.size, args.device)
    images, samples = image.repeat(batch, 1, 1, 1), samples * batch
    settings = dict(num_inference_steps=steps, ensemble_size=members)
    peak_memory(args.device)
    with torch.no_grad(), half_precision(args.device):
        with FlopCounterMode(display=False) as counter:
            model.predict(images, samples, settings)
        (seconds,) = fastest(args.rounds, lambda: model.predict(images, samples, settings))
    flop = counter.get_total_flops()
    share = roofline_share(seconds, flop, weight_bytes(model, steps * members), rates)
    return dict(
        batch=batch,
        images_per_s=batch / seconds,
        seconds=seconds,
        tflop_per_image=flop / batch / 1e12,
        memory_gib=peak_memory(args.device),
        roofline_share=share,
    )


def measure_training(model: nn.Module, args: argparse.Namespace, batch: int, beside: bool) -> dict:
    """Measures gradients of a batch from cached latents, and of U-Net and encoder alone if ``beside``."""
    image, samples = inputs_of(args.size, args.device)
    images, samples = image.repeat(batch, 1, 1, 1), samples * batch
    peak_memory(args.device)
    with tempfile.TemporaryDirectory() as folder, half_precision(args.device):
        calls = training_steps(model, images, samples, Path(folder))
        ours, *others = fastest(args.rounds, *(calls if beside else calls[:1]))
    model.zero_grad(set_to_none=True)
    found = dict(batch=batch, seconds=ours, images_per_s=batch / ours, memory_gib=peak_memory(args.device))
    if beside:
        bare = dict(zip(("unet_and_encoder", "unet"), others, strict=True))
        found.update({f"{name}_seconds": seconds for name, seconds in bare.items()})
        found.update({f"times_{name}": ours / seconds for name, seconds in bare.items()})
    return found


def growing(largest: int, measure: Callable[[int], dict], batches: Sequence[int] = BATCHES) -> list[dict]:
    """Measures growing batches, until one does not fit in memory."""
    rows: list[dict] = []
    for batch in batches:
        if batch > largest:
            break
        try:
            rows.append(measure(batch))
        except torch.cuda.OutOfMemoryError:
            rows.append(dict(batch=batch, out_of_memory=True))
            break
    return rows


def models(args: argparse.Namespace) -> Iterator[tuple[str, nn.Module]]:
    """Builds the model of each config in turn, with the one before out of memory."""
    for name in dict.fromkeys(name for name, *_ in PREDICTIONS):
        model = build(name, args.size, args.device)
        yield name, model
        del model
        gc.collect()
        if args.device == "cuda":
            torch.cuda.empty_cache()


def measure_config(report: Report, args: argparse.Namespace, config: str, model: nn.Module, rates: dict) -> None:
    """Measures all that is measured with one config."""

    def predict(batch: int, steps: int = 1, members: int = 1) -> dict:
        return measure_prediction(model, args, batch, steps, members, rates)

    for name, steps, members, title in PREDICTIONS:
        if name == config:
            settings = (steps or args.many, members or args.many)
            report.add(title.format(many=args.many), partial(predict, args.batch, *settings))
    if config == "_1step":
        report.add("one step, growing batches", lambda: growing(args.largest, predict))
    if config == "":
        model.train()
        report.add("training step from cached latents", lambda: measure_training(model, args, args.batch, True))
        # Batch normalisation needs more than one value.
        report.add(
            "training step, growing batches",
            lambda: growing(args.largest, lambda batch: measure_training(model, args, batch, False), BATCHES[1:]),
        )


def main() -> int:
    """Measures, and returns 1 if something failed."""
    args = parse_args()
    torch.manual_seed(0)
    init_default_scope("mmseg")
    start = time.perf_counter()
    report = Report(args.out, facts_of(args), args.seconds)
    rates = {
        "matrix_flop_per_s": report.add("matrix_flop_per_s", lambda: matrix_rate(args.device)),
        "copy_bytes_per_s": report.add("copy_bytes_per_s", lambda: copy_rate(args.device)),
    }
    for config, model in models(args):
        measure_config(report, args, config, model, rates)
    report.add("seconds in all", lambda: time.perf_counter() - start)
    return 1 if report.content["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
