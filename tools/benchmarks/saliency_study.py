"""Trains the saliency model's variants from scratch at equal compute, and evaluates them on unseen objects.

    OMP_NUM_THREADS=1 python tools/benchmarks/saliency_study.py --out work_dirs/study

Data: images of one or two large objects, which are salient, and two to six small ones, which are not. Both are drawn
from one bank, so that neither colour nor "something was pasted here" tells them apart; size does, and it does so for
objects and backgrounds that were never seen. Small objects may lie on large ones.

Compute: each run is given the same processor seconds, of one thread. Before the first run, training steps of all
variants are timed in turns, which gives each variant's number of iterations; what the runs then took is in the table.

Written to the folder: `study.json`, `study.md`, `steps.png` and `runs/`. What is there is not done again.
"""

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS, init_default_scope
from mmengine.runner import Runner
from saliency_study_data import compose_data, recipes, reference_scores
from saliency_study_report import SHOWN, STEPS, T_95, write_report
from saliency_study_ways import DISTURBANCES, disturbed, drift, learned
from study_settings import same_recipes, same_settings
from torch.utils.data import Sampler

import sos_mm.saliency  # noqa: F401
from sos_mm.atomic import write_atomic
from sos_mm.engine.launch import build_trained
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency.evaluation.baselines import Predictor, evaluate, predict_auxiliary, with_settings
from sos_mm.seeding import Purpose, generator

CONFIGS = Path(__file__).resolve().parents[2] / "configs/sod_diffusion"
TINY = CONFIGS / "sod_diffusion_tiny_64.py"


@dataclass(frozen=True)
class Variant:
    """A model to train.

    Attributes:
        about: What the table says of it.
        config: The shipped config whose tiny form it is; None for the tiny config itself.
        options: What has to be as small as the tiny model is.
        compared: Whether it is trained with all seeds; with the first alone, its figures are indicative.
        iterations_of: The variant that it is given as many iterations as, in place of equal compute.
    """

    about: str
    config: str | None = None
    options: dict = field(default_factory=dict)
    compared: bool = False
    iterations_of: str | None = None


# A codec without weights has nothing to check-point, as the one-step configs ask of the VAE.
PLAIN_CODEC = {"model.codec": dict(_delete_=True, type="SpaceToDepthCodec", stride=8)}
# F3Net's surroundings of 31 of 352 pixels.
PIXEL_LOSS = {"model.decode_head.loss_pixel.kernel": 7}
BRANCH = {"model.decode_head.decoder.in_channels": 32, **PIXEL_LOSS}
VARIANTS = {
    "branch": Variant("branch alone", "sod_diffusion_swinb_branch.py", BRANCH, True),
    "full": Variant("full: AFIM without its time gate, as the tiny config has it", compared=True),
    "plain_attention": Variant(
        "plain cross-attention for the AFIM", "sod_diffusion_swinb_plain_attention.py", compared=True
    ),
    "1step": Variant("one step, pixel loss", "sod_diffusion_swinb_1step.py", PLAIN_CODEC | PIXEL_LOSS, True),
    "short_branch": Variant(
        "branch alone, as many images as full", "sod_diffusion_swinb_branch.py", BRANCH, iterations_of="full"
    ),
    "gate": Variant("full, AFIM with its time gate", options={"model.decode_head.afim.gate": True}),
    "no_aux": Variant("full without auxiliary loss", "sod_diffusion_swinb_no_aux.py"),
    "no_cbam": Variant("full without CBAM", "sod_diffusion_swinb_no_cbam.py"),
    "no_swin": Variant("full without a second encoder: the latents alone", "sod_diffusion_swinb_no_swin.py"),
    "resnet50": Variant(
        "full, a ResNet for Swin",
        "sod_diffusion_swinb_resnet50.py",
        {"model.backbone.model_name": "resnet10t.c3_in1k", "model.backbone.pretrained": False},
    ),
    "light": Variant(
        "one step, light, distilled from the first one-step run",
        "sod_diffusion_swinb_light.py",
        {"model.neck.levels": 2, "model.loss_distill.kernel": 7, **PLAIN_CODEC, **PIXEL_LOSS},
    ),
}


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
        """Sets the next epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        first = self.epoch * self.length
        passes = range(first // self.size, (first + self.length - 1) // self.size + 1)
        orders = [generator(self.seed, Purpose.SOURCE_ORDER, 0, visit).permutation(self.size) for visit in passes]
        start = first % self.size
        yield from np.concatenate(orders)[start : start + self.length].tolist()


def tiny_configs(folder: Path) -> None:
    """Writes the shipped variants with the tiny config as what they inherit from in place of the full-size one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in CONFIGS.glob("sod_diffusion_swinb_*.py"):
        text = path.read_text(encoding="utf-8")
        (folder / path.name).write_text(text.replace('"../sod_diffusion_swinb.py"', f'"{TINY}"'), encoding="utf-8")


def run_config(out: Path, name: str, seed: int, iterations: int, epoch: int = 10) -> Config:
    """Returns the config of one run."""
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
    """Measures the processor seconds of a training step of each variant: the minimum over alternating steps."""
    path = out / "calibration.json"
    if path.exists():
        return json.loads(path.read_text())
    teacher = out / "untrained_teacher.pth"
    prepared = {}
    for name in (name for name, variant in VARIANTS.items() if variant.iterations_of is None):
        config = run_config(out, name, 0, steps)
        if "teacher" in config.model:
            config.model.teacher.checkpoint = str(teacher)
        runner = Runner.from_cfg(config)
        runner.model.draws = RunRandomness(0)
        if name == "1step":
            torch.save(dict(state_dict=runner.model.state_dict()), teacher)
        loader = runner.build_dataloader(config.train_dataloader, seed=0)
        for transform in loader.dataset.pipeline.transforms:
            transform.draws = RunRandomness(0)
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
    """Trains and evaluates one variant, or reads its earlier results."""
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
    write_atomic(path, json.dumps(result, indent=1).encode())
    return result


def drift_of(out: Path, name: str, seed: int) -> dict[str, dict[str, float]]:
    """Returns the result of `drift` for a finished run, computed now or before."""
    config = run_config(out, name, seed, 1)
    path = Path(config.work_dir, "drift.json")
    if not path.exists():
        runner = build_trained(config, f"{config.work_dir}/weights.pth")
        path.write_text(json.dumps(drift(runner.model.eval(), runner.test_dataloader), indent=1))
    return json.loads(path.read_text())


def judged(model: torch.nn.Module, name: str) -> dict[str, Predictor]:
    """Returns the predictors of a model: as its config has it, and for some variants other inference settings."""
    named = {"itself": model.predict}
    if name == "full":
        named |= {f"{steps} steps": with_settings(model, num_inference_steps=steps) for steps in STEPS}
        named["ensemble of 10"] = with_settings(model, ensemble_size=10)
    if name in ("full", "plain_attention", "1step"):
        named["auxiliary map"] = predict_auxiliary(model)
        named |= {what: disturbed(model, what) for what in DISTURBANCES}
    return named


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


def planned_runs(only: list[str], seeds: int) -> list[tuple[str, int]]:
    """Lists variant and seed of each run: first all seeds of the compared variants, seed by seed, then the rest."""
    compared = [(name, seed) for seed in range(seeds) for name in only if VARIANTS[name].compared]
    return compared + [(name, 0) for name in only if not VARIANTS[name].compared]


def main() -> None:
    """Runs what is not finished yet, and prints the tables."""
    args = parse_args()
    out = args.out.absolute()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Equal compute is counted in processor seconds.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    settings = dict(seconds=args.seconds, train_images=args.train_images, test_images=args.test_images)
    # A name may have stood for another model once: what is there must not be taken for this one's.
    settings["configs"] = {name: variant.config for name, variant in VARIANTS.items()}
    same_settings(out, settings)
    same_recipes(out, recipes())
    init_default_scope("mmseg")
    for group, number in (("train", args.train_images), ("held_out", args.test_images)):
        compose_data(out / "data" / group, group, number)
    references = reference_scores(out / "data")
    tiny_configs(out / "configs")
    step_seconds = calibrate(out)
    results: dict[str, list[dict]] = {}
    about = {name: variant.about for name, variant in VARIANTS.items()}
    text = ""
    for name, seed in planned_runs(args.only, args.seeds):
        step = step_seconds[VARIANTS[name].iterations_of or name]
        found = run(out, name, seed, round(args.seconds / step))
        if name == "full":
            found["drift"] = drift_of(out, name, seed)
        results.setdefault(name, []).append(found)
        scores = "  ".join(f"{key} {found['scores']['itself'][f'sod/{key}']:.4f}" for key in SHOWN)
        print(f"{name}-{seed}: {found['iterations']} iterations, {found['seconds']:.0f} s  {scores}", flush=True)
        text = write_report(out, settings, references, results, about)
    print(text)


if __name__ == "__main__":
    main()
