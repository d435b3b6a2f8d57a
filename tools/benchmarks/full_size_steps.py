"""Runs two optimisation steps of the full-size model from random weights; prints losses, time and peak memory.

    python tools/benchmarks/full_size_steps.py --data work_dirs/quickstart/data/train

Needs about 20 GB of memory and 5 GB of disk, and no pretrained weights. Saves the weights (without the
optimiser), loads them back and compares every tensor.
"""

import argparse
import hashlib
import resource
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

CONFIG = Path(__file__).parents[2] / "configs/sod_diffusion_swinb.py"


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with `images` and `masks`")
    parser.add_argument("--work-dir", default="work_dirs/full_size_steps", help="where the weights go")
    parser.add_argument("--steps", type=int, default=2, help="optimisation steps")
    return parser.parse_args()


def full_size_config(args: argparse.Namespace) -> Config:
    """Returns the full-size config with random weights, batches of one, and little memory besides the model's."""
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(
        {
            "work_dir": args.work_dir,
            "model.backbone.pretrained": False,
            "model.backbone.checkpoint": True,
            "model.codec.pretrained": None,
            "model.decode_head.unet.pretrained": None,
            "model.decode_head.unet.checkpoint": True,
            "train_cfg.max_epochs": 1,
            "train_dataloader.batch_size": 1,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "train_dataloader.dataset.data_root": args.data,
            "train_dataloader.dataset.indices": args.steps,
            # One parameter at a time, so that no copy of all parameters is allocated.
            "optim_wrapper.optimizer.foreach": False,
            "default_hooks.logger.interval": 1,
            "default_hooks.checkpoint.save_optimizer": False,
            "default_hooks.checkpoint.max_keep_ckpts": 1,
        }
    )
    config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    return config


def digests(model) -> dict[str, str]:
    """Computes a hash of every tensor of a model."""
    return {name: hashlib.sha256(t.cpu().numpy().tobytes()).hexdigest() for name, t in model.state_dict().items()}


def peak_memory() -> float:
    """Returns the peak memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Runs the steps, saves and loads the weights, and compares them."""
    args = parse_args()
    runner = Runner.from_cfg(full_size_config(args))
    millions = sum(parameter.numel() for parameter in runner.model.parameters()) / 1e6
    start = time.perf_counter()
    runner.train()
    print(f"{millions:.0f} M parameters, {args.steps} steps in {time.perf_counter() - start:.0f} s")
    print(f"peak memory: {peak_memory():.1f} GiB")

    trained = digests(runner.model)
    checkpoint = (Path(args.work_dir) / "last_checkpoint").read_text()
    for parameter in runner.model.parameters():
        parameter.data.zero_()
    runner.load_checkpoint(checkpoint)
    changed = [name for name, digest in digests(runner.model).items() if digest != trained[name]]
    if changed:
        raise SystemExit(f"{len(changed)} tensors came back changed, the first being {changed[0]}")
    size = Path(checkpoint).stat().st_size / 2**30
    print(f"saved and loaded: {size:.1f} GiB, all {len(trained)} tensors the same; peak {peak_memory():.1f} GiB")


if __name__ == "__main__":
    main()
