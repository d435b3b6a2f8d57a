"""Trains the saliency model's variants from scratch at equal compute, and judges them on objects they never saw.

    OMP_NUM_THREADS=1 python tools/benchmarks/saliency_study.py --out work_dirs/study

Data: pictures of one or two large objects, which are salient, and two to six small ones, which are not. Both are drawn
from one bank, so that neither colour nor "something was pasted here" tells them apart; size does, and it does so for
objects and backgrounds that were never seen. Small objects may lie on large ones.

Compute: each run is given the same processor seconds, of one thread. Before the first run, training steps of all
variants are timed in turns, which gives each variant's number of iterations; what the runs then took is in the table.

Written to the folder: `study.json`, `study.md`, `steps.png` and `runs/`. What is there is not done again.
"""

import argparse
import json
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Sampler

import sos_mm.saliency  # noqa: F401
from sos_mm.augmentation import SegmentPaste
from sos_mm.checks import read_image
from sos_mm.metrics import score_image, summarize
from sos_mm.saliency.datasets import SaliencyDataset
from sos_mm.saliency.references import Predictor, centre_prior, evaluate, predict_auxiliary
from sos_mm.saliency.segmentor import Conditions, LatentDiffusionSegmentor
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis import load_recipe, synthesize
from sos_mm.visits import Draws

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TINY = CONFIGS / "sod_diffusion_tiny_64.py"
SHOWN = ("Smeasure", "wFmeasure", "MAE", "maxFm")
STEPS = (1, 2, 4, 10, 20)
GROUPS = {"train": 0, "held_out": 1}  # With the seed of each.
DISTRACTORS = dict(
    type="StructuredLayout",
    counts=(2, 6),
    shares=dict(large=0.0, medium=0.0, small=1.0),
    areas=dict(large=(0.1, 0.4), medium=(0.1, 0.4), small=(0.02, 0.06)),
    aspect=(0.8, 1.25),
    crowded="fewer",
)


@dataclass(frozen=True)
class Variant:
    """A model to train.

    Attributes:
        about: What the table says of it.
        config: The shipped config whose tiny form it is; None for the tiny config itself.
        options: What has to be as small as the tiny model is.
        compared: Whether it is trained with all seeds; with the first alone, its figures are indicative.
    """

    about: str
    config: str | None = None
    options: dict = field(default_factory=dict)
    compared: bool = False


# A codec without weights has nothing to check-point, as the one-step configs ask of the VAE.
PLAIN_CODEC = {"model.codec": dict(_delete_=True, type="SpaceToDepthCodec", stride=8)}
# F3Net's surroundings of 31 of 352 pixels.
PIXEL_LOSS = {"model.decode_head.loss_pixel.kernel": 7}
VARIANTS = {
    "branch": Variant(
        "branch alone",
        "sod_diffusion_swinb_branch.py",
        {"model.decode_head.decoder.in_channels": 32, **PIXEL_LOSS},
        True,
    ),
    "full": Variant("full: AFIM without its time gate, as the tiny config has it", compared=True),
    "plain_attention": Variant(
        "plain cross-attention for the AFIM", "sod_diffusion_swinb_plain_attention.py", compared=True
    ),
    "1step": Variant("one step, pixel loss", "sod_diffusion_swinb_1step.py", PLAIN_CODEC | PIXEL_LOSS, True),
    "gate": Variant("full, AFIM with its time gate", options={"model.decode_head.afim.gate": True}),
    "no_aux": Variant("full without auxiliary loss", "sod_diffusion_swinb_no_aux.py"),
    "no_cbam": Variant("full without CBAM", "sod_diffusion_swinb_no_cbam.py"),
    "no_swin": Variant(
        "full, a ResNet for Swin",
        "sod_diffusion_swinb_no_swin.py",
        {"model.backbone.model_name": "resnet10t.c3_in1k", "model.backbone.pretrained": False},
    ),
    "light": Variant(
        "one step, light, distilled from the run above",
        "sod_diffusion_swinb_light.py",
        {"model.neck.levels": 2, "model.loss_distill.kernel": 7, **PLAIN_CODEC, **PIXEL_LOSS},
    ),
}


# Data


def compose_data(folder: Path, group: str, number: int) -> None:
    """Writes `images`, `masks` and `pasted` (every object, salient or not) of one group of the bundled sample."""
    if (folder / "done").exists():
        return
    plain = folder / "without_distractors"
    recipe = load_recipe(CONFIGS / "synthesis/sample_study.py", {"group": group})
    synthesize(recipe, plain, number, seed=GROUPS[group])
    bank = dict(type="sample", group=group)
    pastes = [SegmentPaste(bank, prob=1.0, layout=DISTRACTORS, saliency=value) for value in (0.0, 1.0)]
    for paste in pastes:
        paste.draws = Draws(GROUPS[group])
    pipeline = [dict(type="LoadSaliencyImage"), dict(type="LoadSaliencyMask")]
    for kind in ("images", "masks", "pasted"):
        (folder / kind).mkdir(exist_ok=True)
    for results in SaliencyDataset(str(plain), pipeline=pipeline):
        salient, pasted = (paste(dict(results)) for paste in pastes)
        name = f"{Path(results['img_path']).stem}.png"
        cv2.imwrite(str(folder / "images" / name), salient["img"])
        for kind, found in (("masks", salient), ("pasted", pasted)):
            cv2.imwrite(str(folder / kind / name), (255 * found["gt_saliency"]).astype(np.uint8))
    (folder / "done").touch()


def read_all(folder: Path) -> np.ndarray:
    """All PNG files of a folder, (N, H, W, 3) uint8 RGB."""
    return np.stack([read_image(path, channels=3) for path in sorted(folder.glob("*.png"))])


def reference_scores(data: Path) -> dict[str, dict[str, float]]:
    """What can be had without a network: the centre, each colour's share of saliency, and every pasted object."""
    images, masks = (read_all(data / "held_out" / kind) for kind in ("images", "masks"))
    masks = masks[..., 0]
    centre = centre_prior(*masks.shape[1:])[0].numpy()
    shares = colour_shares(*(read_all(data / "train" / kind) for kind in ("images", "masks")))
    maps = {
        "centre prior": [centre] * len(masks),
        "colour alone": shares[binned(images)],
        "every object, distractors too": read_all(data / "held_out/pasted")[..., 0] / 255,
    }
    return {
        name: summarize([score_image(np.asarray(a, np.float32), b) for a, b in zip(found, masks, strict=True)])
        for name, found in maps.items()
    }


def binned(images: np.ndarray, levels: int = 16) -> np.ndarray:
    """Number of each pixel's colour out of ``levels`` cubed."""
    red, green, blue = np.moveaxis(images.astype(np.int64) * levels // 256, -1, 0)
    return (red * levels + green) * levels + blue


def colour_shares(images: np.ndarray, masks: np.ndarray, levels: int = 16) -> np.ndarray:
    """(levels^3,) share of salient pixels among those of each colour; half where there are none."""
    colours = binned(images, levels).ravel()
    salient = np.bincount(colours, masks[..., 0].ravel() > 128, levels**3)
    return (salient + 0.5) / (np.bincount(colours, minlength=levels**3) + 1)


@DATA_SAMPLERS.register_module()
class ShortEpochs(Sampler):
    """Epochs of a few images that go through the shuffled data set, over and over: iterations can be dosed.

    Args:
        dataset: The data set.
        length: Images an epoch.
        seed: Seed of the order.
    """

    def __init__(self, dataset, length: int, seed: int = 0):
        self.size, self.length, self.seed, self.epoch = len(dataset), length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        first = self.epoch * self.length
        passes = range(first // self.size, (first + self.length - 1) // self.size + 1)
        orders = [generator(self.seed, Purpose.SOURCE_ORDER, 0, visit).permutation(self.size) for visit in passes]
        start = first % self.size
        yield from np.concatenate(orders)[start : start + self.length].tolist()


# Models


def tiny_configs(folder: Path) -> None:
    """Writes the shipped variants with the tiny config as what they inherit from in place of the full-size one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in CONFIGS.glob("sod_diffusion_swinb_*.py"):
        text = path.read_text(encoding="utf-8")
        (folder / path.name).write_text(text.replace('"sod_diffusion_swinb.py"', f'"{TINY}"'), encoding="utf-8")


def run_config(out: Path, name: str, seed: int, iterations: int, epoch: int = 10) -> Config:
    """The config of one run."""
    variant = VARIANTS[name]
    config = Config.fromfile(TINY if variant.config is None else out / "configs" / variant.config)
    config.merge_from_dict(variant.options)
    if "teacher" in config.model:
        teacher = run_config(out, "1step", 0, iterations)
        config.model.teacher = dict(config=teacher.model, checkpoint=f"{teacher.work_dir}/weights.pth")
    batch = config.train_dataloader.batch_size
    epochs = max(round(iterations / epoch), 1)
    config.merge_from_dict(
        {
            "work_dir": str(out / "runs" / f"{name}-{seed}"),
            "experiment_name": f"{name}-{seed}",
            "randomness.seed": seed,
            "train_cfg.max_epochs": epochs,
            "train_dataloader.dataset.data_root": str(out / "data/train"),
            "train_dataloader.sampler": dict(_delete_=True, type="ShortEpochs", length=epoch * batch),
            "test_dataloader.dataset.data_root": str(out / "data/held_out"),
            "default_hooks.checkpoint": None,
            "optim_wrapper.optimizer.fused": True,
            "log_level": "WARNING",
        }
    )
    # One recipe for all, whatever a variant's own is at full size.
    config.param_scheduler = Config.fromfile(TINY).param_scheduler
    config.param_scheduler[1].T_max = epochs
    config.default_hooks.pop("visualization")
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        config[key] = None
    return config


def calibrate(out: Path, rounds: int = 5, steps: int = 3) -> dict[str, float]:
    """Processor seconds of a training step of each variant: the least of some, taken in turns."""
    path = out / "calibration.json"
    if path.exists():
        return json.loads(path.read_text())
    teacher = out / "untrained_teacher.pth"
    prepared = {}
    for name in VARIANTS:
        config = run_config(out, name, 0, steps)
        if "teacher" in config.model:
            config.model.teacher.checkpoint = str(teacher)
        runner = Runner.from_cfg(config)
        runner.model.draws = Draws(0)
        if name == "1step":
            torch.save(dict(state_dict=runner.model.state_dict()), teacher)
        loader = runner.build_dataloader(config.train_dataloader, seed=0)
        for transform in loader.dataset.pipeline.transforms:
            transform.draws = Draws(0)
        prepared[name] = (runner.model.train(), runner.build_optim_wrapper(config.optim_wrapper), loader)
    least = dict.fromkeys(prepared, float("inf"))
    for _ in range(rounds):
        for name, (model, optimizer, loader) in prepared.items():
            batches = iter(loader)
            for _ in range(steps):
                start = process_time()
                model.train_step(next(batches), optimizer)
                least[name] = min(least[name], process_time() - start)
    path.write_text(json.dumps(least, indent=1))
    return least


def run(out: Path, name: str, seed: int, iterations: int, epoch: int = 10) -> dict:
    """Trains and judges one variant, or reads what that gave before."""
    config = run_config(out, name, seed, iterations, epoch)
    path = Path(config.work_dir, "scores.json")
    if path.exists():
        return json.loads(path.read_text())
    runner = Runner.from_cfg(config)
    start = process_time()
    runner.train()
    seconds = process_time() - start
    model = runner.model.eval()
    torch.save(dict(state_dict=model.state_dict()), Path(config.work_dir, "weights.pth"))
    result = dict(
        iterations=runner.iter,
        seconds=seconds,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        scores=evaluate(model, runner.test_dataloader, judged(model, name)),
        learned=learned(model),
    )
    path.with_suffix(".tmp").write_text(json.dumps(result, indent=1))
    path.with_suffix(".tmp").rename(path)
    return result


# Judging


def judged(model: torch.nn.Module, name: str) -> dict[str, Predictor]:
    """The model as its config has it, and of some variants the same model in other ways."""
    named = {"itself": model.predict}
    if name == "full":
        named |= {f"{steps} steps": with_settings(model, steps=steps) for steps in STEPS}
        named["ensemble of 10"] = with_settings(model, ensemble=10)
    if name in ("full", "plain_attention", "1step"):
        named["auxiliary map"] = predict_auxiliary(model)
        named |= {what: disturbed(model, what) for what in DISTURBANCES}
    return named


def with_settings(model: LatentDiffusionSegmentor, **changes) -> Predictor:
    """The model with another `test_cfg`."""

    def predict(inputs, samples):
        settings, model.test_cfg = model.test_cfg, {**model.test_cfg, **changes}
        try:
            return model.predict(inputs, samples)
        finally:
            model.test_cfg = settings

    return predict


DISTURBANCES = ("features of another image", "latents of another image", "cross-attention silenced")


def disturbed(model: LatentDiffusionSegmentor, what: str) -> Predictor:
    """The model with one of its conditions taken from another image of the batch, or not listened to."""

    def predict(inputs, samples):
        own = model.encode_conditions(inputs)
        features, latent = own
        if what == "features of another image":
            features = features._replace(pyramid=tuple(each.roll(1, 0) for each in features.pyramid))
        if what == "latents of another image":
            latent = latent.roll(1, 0)
        context = model.decode_head.condition(features)
        if what == "cross-attention silenced":
            context = context._replace(gates=latent.new_zeros(len(latent), model.decode_head.denoiser.levels))
        process = model.sample_latents(Conditions(features, latent), samples, context=context)
        members = model.decode_mask(process[-1].latent)[None]
        return [model.fill(each, members[:, index]) for index, each in enumerate(samples)]

    return predict


def learned(model: torch.nn.Module) -> dict:
    """What the AFIM has learned, where there is one: scales of positions, and gates over time."""
    found = {name: float(value) for name, value in model.named_parameters() if name.endswith("position_scale")}
    gate = getattr(getattr(model.decode_head, "afim", None), "gate", None)
    if gate is not None:
        times = torch.tensor([999, 749, 499, 249, 0])
        with torch.no_grad():
            found["gates"] = {int(t): row.tolist() for t, row in zip(times, gate(times), strict=True)}
    return found


# The report

# Two-sided 95 % points of Student's t by the number of runs.
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean and half the width of its 95 % interval; None of a single value."""
    mean = statistics.fmean(values)
    return mean, T_95[len(values)] * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def summary(references: dict, results: dict[str, list[dict]]) -> dict:
    """Means and intervals of all that was judged, by variant."""
    rows = {name: {key: (scores[key], None) for key in SHOWN} for name, scores in references.items()}
    judged_as = {}
    for name, runs in results.items():
        ways = {
            way: {key: interval([each["scores"][way][f"sod/{key}"] for each in runs]) for key in SHOWN}
            for way in runs[0]["scores"]
        }
        rows[name] = ways.pop("itself")
        judged_as[name] = ways
    keys = ("iterations", "seconds", "parameters")
    runs = {name: [{key: each[key] for key in keys} for each in runs] for name, runs in results.items()}
    learned_values = {name: [each["learned"] for each in runs] for name, runs in results.items()}
    return dict(rows=rows, other_ways=judged_as, runs=runs, learned=learned_values)


def as_markdown(found: dict) -> str:
    """The tables as text."""
    lines = table_head("model", "runs", "iterations", "processor s")
    for name, scores in found["rows"].items():
        runs = found["runs"].get(name)
        about, facts = name, ["", "", ""]
        if runs:
            about = VARIANTS[name].about + ("" if len(runs) > 1 else " (indicative)")
            facts = [str(len(runs)), str(runs[0]["iterations"]), f"{statistics.fmean(r['seconds'] for r in runs):.0f}"]
        lines.append(table_row(about, *facts, scores=scores))
    for name, ways in found["other_ways"].items():
        if ways:
            lines += ["", f"`{name}`, the same runs judged in other ways:", "", *table_head("way")]
            lines += [table_row(way, scores=scores) for way, scores in ways.items()]
    return "\n".join(lines) + "\n"


def table_head(*columns: str) -> list[str]:
    """Two lines of Markdown; figures to the right."""
    cells = [*columns, *SHOWN]
    return [f"| {' | '.join(cells)} |", "| --- |" + " ---: |" * (len(cells) - 1)]


def table_row(*cells: str, scores: dict) -> str:
    """One line of Markdown."""
    figures = [f"{mean:.3f}" + ("" if half is None else f" ± {half:.3f}") for mean, half in (scores[k] for k in SHOWN)]
    return f"| {' | '.join([*cells, *figures])} |"


def plot_steps(ways: dict, branch: dict, path: Path) -> None:
    """Quality against the number of steps, with intervals, and the branch alone as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(12, 3.4), layout="constrained"))
    for panel, key in zip(canvas.figure.subplots(1, len(SHOWN)), SHOWN, strict=True):
        points = [ways[f"{steps} steps"][key] for steps in STEPS]
        panel.errorbar(STEPS, [mean for mean, _ in points], [half or 0 for _, half in points], marker="o", capsize=3)
        panel.axhline(branch[key][0], color="grey", linestyle="--", label="branch alone")
        panel.set(xscale="log", xticks=STEPS, xticklabels=STEPS, xlabel="steps", title=key)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    canvas.figure.savefig(path, dpi=100)


def write_report(out: Path, settings: dict, references: dict, results: dict[str, list[dict]]) -> str:
    """Writes what there is so far; gives the tables."""
    found = summary(references, results)
    (out / "study.json").write_text(json.dumps(dict(settings=settings, **found), indent=1))
    text = as_markdown(found)
    (out / "study.md").write_text(text, encoding="utf-8")
    if {"full", "branch"} <= results.keys():
        plot_steps(found["other_ways"]["full"], found["rows"]["branch"], out / "steps.png")
    return text


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/study"), help="folder of the results")
    parser.add_argument("--seconds", type=float, default=100, help="processor seconds of a training run (100)")
    parser.add_argument("--seeds", type=int, choices=sorted(T_95), default=3, help="runs of what is compared (3)")
    parser.add_argument("--train-images", type=int, default=1600, help="images to train on (1600)")
    parser.add_argument("--test-images", type=int, default=192, help="images to judge on (192)")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="variants to train (all)")
    return parser.parse_args()


def same_settings(out: Path, settings: dict) -> None:
    """Keeps the settings of a study beside it.

    Raises:
        ValueError: If the folder holds a study with others.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise ValueError(f"{out} holds a study with {path.read_text()}, but got {settings}: name another --out.")
    path.write_text(json.dumps(settings))


def planned_runs(only: list[str], seeds: int) -> list[tuple[str, int]]:
    """Variant and seed of each run: first all seeds of what is compared, seed by seed, then the rest."""
    compared = [(name, seed) for seed in range(seeds) for name in only if VARIANTS[name].compared]
    return compared + [(name, 0) for name in only if not VARIANTS[name].compared]


def main() -> None:
    """Does what is not done yet, and prints the tables."""
    args = parse_args()
    out = args.out.absolute()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Equal compute is counted in processor seconds.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    settings = dict(seconds=args.seconds, train_images=args.train_images, test_images=args.test_images)
    same_settings(out, settings)
    init_default_scope("mmseg")
    for group, number in (("train", args.train_images), ("held_out", args.test_images)):
        compose_data(out / "data" / group, group, number)
    references = reference_scores(out / "data")
    tiny_configs(out / "configs")
    step_seconds = calibrate(out)
    results: dict[str, list[dict]] = {}
    text = ""
    for name, seed in planned_runs(args.only, args.seeds):
        found = run(out, name, seed, round(args.seconds / step_seconds[name]))
        results.setdefault(name, []).append(found)
        scores = "  ".join(f"{key} {found['scores']['itself'][f'sod/{key}']:.4f}" for key in SHOWN)
        print(f"{name}-{seed}: {found['iterations']} iterations, {found['seconds']:.0f} s  {scores}", flush=True)
        text = write_report(out, settings, references, results)
    print(text)


if __name__ == "__main__":
    main()
