"""Trains a small detector on few images, with and without SegmentPaste, and prints a table.

The "real" images are composed of the objects and backgrounds that `configs/synthesis/sample_ten.py` holds out: some for
training, different ones for each seed, and others for testing. SegmentPaste pastes objects of `sample_ten.py` itself,
none of which is in any real image, only into the few training images. Both trainings are equally long.
"""

import argparse
from pathlib import Path
from statistics import mean

from mmengine.config import Config
from mmengine.runner import Runner

from sos_mm.synthesis import synthesize
from sos_mm.synthesis.recipe import load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
FIGURES = ("coco/bbox_mAP", "coco/bbox_mAP_50", "coco/segm_mAP")


def main() -> None:
    """Trains all models, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/low_data"), help="where all goes")
    parser.add_argument("--images", type=int, default=20, help="real images to train on")
    parser.add_argument("--test-images", type=int, default=80, help="real images to test on")
    parser.add_argument("--iterations", type=int, default=700, help="iterations of each training")
    parser.add_argument("--batch-size", type=int, default=8, help="images of an iteration")
    parser.add_argument("--prob", type=float, default=0.8, help="probability of SegmentPaste")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    args = parser.parse_args()
    real = load_recipe(CONFIGS / "synthesis/sample_ten_held_out.py")
    synthesize(real, args.work_dir / "test", args.test_images, seed=99, progress=False)
    found = {}
    for seed in range(args.seeds):
        data = args.work_dir / f"real_{seed}"
        synthesize(real, data, args.images, seed=seed, progress=False)
        for name in ("without", "with"):
            found[seed, name] = train(args, data, seed, name == "with")
            print(seed, name, *(f"{100 * value:.1f}" for value in found[seed, name]), flush=True)
    print(table(found, args.seeds))


def train(args: argparse.Namespace, data: Path, seed: int, paste: bool) -> list[float]:
    """Trains on some images, and returns the figures on the test images."""
    config = Config.fromfile(CONFIGS / "detection/sample_rtmdet_ins.py")
    dataset = config.train_dataloader.dataset
    dataset.data_root = str(data)
    if paste:
        bank = load_recipe(CONFIGS / "synthesis/sample_ten.py")
        line = dict(
            type="sos_mm.SegmentPaste", bank=bank.segments, layout=bank.layout, effects="default", prob=args.prob
        )
        dataset.pipeline.insert(2, line)
    times = -(-args.iterations * args.batch_size // args.images)
    loader = dict(batch_size=args.batch_size, num_workers=0, persistent_workers=False)
    # The training is a single epoch. The sampler counts visits, so that each repetition gets other pasted objects.
    sampler = dict(_delete_=True, type="sos_mm.SourceRatioSampler", batch_size=args.batch_size, source_ratio=[1])
    repeated = dict(type="RepeatDataset", times=times, dataset=dataset)
    sources = dict(_delete_=True, type="ConcatDataset", datasets=[repeated])
    config.merge_from_dict(
        {
            "train_dataloader": {**loader, "sampler": sampler, "dataset": sources},
            "val_dataloader": loader,
            "val_dataloader.dataset.data_root": str(args.work_dir / "test"),
            "val_evaluator.ann_file": str(args.work_dir / "test/annotations/instances.json"),
            "train_cfg": dict(max_epochs=1, val_begin=2),
            "param_scheduler": [config.param_scheduler[0], dict(config.param_scheduler[1], T_max=1)],
            "default_hooks.checkpoint": None,
            "randomness.seed": seed,
            "work_dir": str(args.work_dir / f"{'with' if paste else 'without'}_{seed}"),
            "experiment_name": f"{data.name}-{paste}",
            "log_level": "WARNING",
        }
    )
    config.update(test_cfg=None, test_dataloader=None, test_evaluator=None)
    runner = Runner.from_cfg(config)
    runner.train()
    found = runner.val_loop.run()
    # mmdet's metric returns no values if nothing was detected.
    return [found.get(key, 0.0) for key in FIGURES]


def table(found: dict[tuple[int, str], list[float]], seeds: int) -> str:
    """Formats the figures as Markdown, in percent, with the mean gain."""
    lines = ["| seed | box AP | with | gain | box AP50 | with | gain | mask AP | with | gain |"]
    lines.append("| ---: |" + " ---: |" * 9)
    rows = {}
    for seed in range(seeds):
        pairs = zip(found[seed, "without"], found[seed, "with"], strict=True)
        rows[seed] = [100 * value for before, after in pairs for value in (before, after, after - before)]
    rows["mean"] = [mean(column) for column in zip(*rows.values(), strict=True)]
    lines += [f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |" for name, row in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
