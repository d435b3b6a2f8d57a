"""Compares a second round of composed images steered by failures with one that is not, on the ten-class sample.

    OMP_NUM_THREADS=1 python tools/benchmarks/steering_study.py --work-dir work_dirs/steering
    python tools/benchmarks/steering_study.py --work-dir work_dirs/steering --report

For each seed a small RTMDet-Ins is trained from scratch on images of `configs/synthesis/sample_ten.py` (round 1) and
tested on one set of images of other objects (the labelled set). `sos-mm steer` derives the next recipe from its
failures there. From the weights of round 1 two models are then trained for the same number of iterations on as many new
images: of the same recipe ("unsteered"), and of the steered one. All are judged on a second set of images of those
other objects (the test set). The worst three classes are those with the lowest mask AP of round 1 on the labelled set,
not on the test set, where the worst would get better by chance alone.

An interrupted run goes on: each training and each test is kept once it is complete.
"""

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from saliency_study_report import figure, interval

from sos_mm.atomic import write_atomic
from sos_mm.cli.steer import main as steer
from sos_mm.formats.detections import read_detections
from sos_mm.formats.phrases import category_key
from sos_mm.synthesis import load_recipe, synthesize

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPE, HELD_OUT = (CONFIGS / f"synthesis/{name}.py" for name in ("sample_ten", "sample_ten_held_out"))
WAYS = ("unsteered", "steered")
WORST = 3


def main() -> None:
    """Trains and tests all models that are missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/steering"), help="where all goes")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--images", type=int, nargs=2, default=(1000, 800), help="of both rounds (default 1000 800)")
    parser.add_argument("--epochs", type=int, nargs=2, default=(4, 4), help="of both rounds (default 4 4)")
    parser.add_argument("--batch-size", type=int, default=8, help="images of an iteration (default 8)")
    parser.add_argument("--test-images", type=int, default=200, help="of the labelled and the test set (default 200)")
    parser.add_argument("--report", action="store_true", help="print the table of what is complete, and run nothing")
    args = parser.parse_args()
    if not args.report:
        run(args)
    print(report(args.work_dir))


def run(args: argparse.Namespace) -> None:
    """Runs all stages that are missing."""
    held_out = load_recipe(HELD_OUT, {"formats": ["coco", "objects"]})
    for seed, name in enumerate(("labelled", "test")):
        synthesize(held_out, args.work_dir / name, args.test_images, seed=90 + seed, progress=False)
    for seed in range(args.seeds):
        folder = args.work_dir / f"seed_{seed}"
        synthesize(load_recipe(RECIPE), folder / "images_1", args.images[0], seed=100 + seed, progress=False)
        first = trained(args, folder, "round_1", folder / "images_1", args.epochs[0], seed, None)
        for name in ("labelled", "test"):
            tested(args, folder, "round_1", first, name)
        steered = folder / "steered.py"
        labels = str(args.work_dir / "labelled/annotations/instances.json")
        results = str(folder / "round_1_labelled.segm.json")
        if not steered.exists():
            steer([str(RECIPE), results, "--labels", labels, "--out", str(steered)], prog="sos-mm steer")
        for way in WAYS:
            images = folder / f"images_{way}"
            recipe = load_recipe(steered if way == "steered" else RECIPE)
            synthesize(recipe, images, args.images[1], seed=200 + seed, progress=False)
            tested(args, folder, way, trained(args, folder, way, images, args.epochs[1], seed, first), "test")
        print(f"seed {seed} is complete", flush=True)


def once(path: Path, make: Callable[[], Any]) -> Any:
    """Returns the content of a JSON file, which is made first if it does not exist."""
    if not path.exists():
        content = make()
        write_atomic(path, (json.dumps(content) + "\n").encode())
    return json.loads(path.read_text())


def trained(
    args: argparse.Namespace, folder: Path, name: str, images: Path, epochs: int, seed: int, start: Path | None
) -> Path:
    """Trains a model unless it is complete; returns its checkpoint."""
    from mmengine.runner import Runner

    work = folder / name

    def train() -> dict[str, float]:
        config = base_config(args, work, f"{folder.name}-{name}")
        config.train_dataloader.dataset.data_root = str(images)
        config.train_dataloader.update(batch_size=args.batch_size, num_workers=0, persistent_workers=False)
        config.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=epochs)
        config.param_scheduler[1].T_max = epochs
        config.default_hooks.checkpoint = dict(type="CheckpointHook", interval=epochs, save_optimizer=False)
        config.randomness.seed = seed
        config.load_from = None if start is None else str(start)
        config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
        config.update(test_cfg=None, test_dataloader=None, test_evaluator=None)
        begin = time.process_time()
        Runner.from_cfg(config).train()
        return {"processor_seconds": time.process_time() - begin}

    spent = once(folder / f"{name}_training.json", train)
    print(f"{folder.name} {name}: {spent['processor_seconds']:.0f} processor seconds", flush=True)
    return work / f"epoch_{epochs}.pth"


def tested(args: argparse.Namespace, folder: Path, name: str, checkpoint: Path, data: str) -> dict[str, Any]:
    """Tests a model unless that is complete; returns AP overall and by class, for boxes and masks."""
    from mmengine.runner import Runner

    prefix, root = folder / f"{name}_{data}", args.work_dir / data
    labels = root / "annotations/instances.json"

    def test() -> dict[str, Any]:
        config = base_config(args, folder / f"{name}_{data}_log", f"{folder.name}-{name}-{data}")
        loader = dict(batch_size=args.batch_size, num_workers=0, persistent_workers=False)
        config.test_dataloader.update(loader)
        config.test_dataloader.dataset.data_root = str(root)
        config.test_evaluator.update(ann_file=str(labels), outfile_prefix=str(prefix), format_only=True)
        config.load_from = str(checkpoint)
        for key in ("train", "val"):
            config.update({f"{key}_cfg": None, f"{key}_dataloader": None})
        config.update(val_evaluator=None, optim_wrapper=None, param_scheduler=None)
        Runner.from_cfg(config).test()
        return {kind: precisions(labels, f"{prefix}.{kind}.json", kind) for kind in ("bbox", "segm")}

    return once(folder / f"{name}_{data}.json", test)


def base_config(args: argparse.Namespace, work: Path, name: str):
    """Returns the config of the sample detector."""
    from mmengine.config import Config

    config = Config.fromfile(CONFIGS / "detection/sample_rtmdet_ins.py")
    config.update(work_dir=str(work), experiment_name=name, log_level="WARNING")
    return config


def precisions(labels: Path, results: str, kind: str) -> dict[str, float]:
    """Computes COCO's AP in percent by class, and overall as '', with pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        if not read_detections(results, kind):
            return {each["name"]: 0.0 for each in truth.dataset["categories"]} | {"": 0.0}
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, classes, areas, numbers of detections); -1 for classes without objects.
    values = evaluation.eval["precision"][:, :, :, 0, -1]
    names = [truth.cats[id]["name"] for id in evaluation.params.catIds]
    found = {name: 100 * values[:, :, index].mean() for index, name in enumerate(names) if values[0, 0, index] > -1}
    return found | {"": mean(found.values())}


def report(work: Path) -> str:
    """Formats the figures of all complete seeds as Markdown."""
    seeds = sorted(int(path.parent.name[5:]) for path in work.glob("seed_*/steered_test.json"))
    seeds = [seed for seed in seeds if (work / f"seed_{seed}/unsteered_test.json").exists()]
    if not seeds:
        return "no seed is complete"
    lines = []
    for kind, title in (("segm", "mask AP"), ("bbox", "box AP")):
        lines += [
            f"| seed | {title}, round 1 | unsteered | steered | gain | worst three, round 1 | unsteered | steered "
        ]
        lines[-1] += "| gain | worst three |"
        lines.append("| ---: |" + " ---: |" * 8 + " --- |")
        rows, names = zip(*(row(work / f"seed_{seed}", kind) for seed in seeds), strict=True)
        for seed, values, worst in zip(seeds, rows, names, strict=True):
            lines.append(f"| {seed} | " + " | ".join(f"{value:.1f}" for value in values) + f" | {', '.join(worst)} |")
        by_column = enumerate(zip(*rows, strict=True))
        cells = [
            figure(*interval(values), digits=1) if index % 4 == 3 else f"{mean(values):.1f}"
            for index, values in by_column
        ]
        lines += [f"| mean | {' | '.join(cells)} | |", ""]
    lines += [by_weight([work / f"seed_{seed}" for seed in seeds]), ""]
    spent = [json.loads(path.read_text())["processor_seconds"] for path in work.glob("seed_*/*_training.json")]
    lines.append(f"{len(spent)} trainings, {mean(spent):.0f} processor seconds each on average.")
    return "\n".join(lines)


def row(folder: Path, kind: str) -> tuple[list[float], list[str]]:
    """Returns AP of round 1, unsteered, steered and the gain, overall and of the worst classes, and their names."""
    read = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("round_1_labelled", "round_1_test", "unsteered_test", "steered_test")
    }
    labelled = read["round_1_labelled"]["segm"]
    worst = sorted((name for name in labelled if name), key=lambda name: labelled[name])[:WORST]
    values = []
    for names in ([""], worst):
        first, unsteered, steered = (
            mean(read[f"{name}_test"][kind][each] for each in names) for name in ("round_1", *WAYS)
        )
        values += [first, unsteered, steered, steered - unsteered]
    return values, worst


def by_weight(folders: Sequence[Path]) -> str:
    """Formats the mean gain in mask AP of the classes that the steered recipes draw more often, as often, and less."""
    gains: dict[str, list[float]] = {"above 1.2": [], "0.8 to 1.2": [], "below 0.8": []}
    for folder in folders:
        weights = load_recipe(folder / "steered.py").segments["category_weights"]
        unsteered, steered = (json.loads((folder / f"{way}_test.json").read_text())["segm"] for way in WAYS)
        for name, weight in weights.items():
            key = "above 1.2" if weight > 1.2 else "0.8 to 1.2" if weight >= 0.8 else "below 0.8"
            gains[key].append(steered[category_key(name)] - unsteered[category_key(name)])
    told = (
        f"{key}: {mean(each):+.1f}, {sum(gain > 0 for gain in each)} of {len(each)} gain"
        for key, each in gains.items()
        if each
    )
    return "mean gain in mask AP of classes by their weight: " + "; ".join(told)


if __name__ == "__main__":
    main()
