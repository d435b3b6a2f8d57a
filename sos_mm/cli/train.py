"""Trains a model: `sos-mm train configs/sod_diffusion_swinb.py`.

One process a GPU: `torchrun --nproc_per_node 8 -m sos_mm train CONFIG --launcher pytorch`, or under slurm
`srun --ntasks 8 --gres gpu:8 sos-mm train CONFIG --launcher slurm`; in a clone also tools/dist_train.sh and
tools/slurm_train.sh.
"""

import argparse
from collections.abc import Sequence

import torch

from sos_mm.cli.ending import command, refusals
from sos_mm.cli.parsing import new_parser
from sos_mm.config_file import check_sets
from sos_mm.engine.checkpoints import safe_loading
from sos_mm.engine.hooks import MatchingCheckpointHook
from sos_mm.engine.launch import add_common_arguments, around_building, build_runner, load_config, start_processes
from sos_mm.engine.run_errors import RunError, explaining_run


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("train", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="go on from the last checkpoint in the work folder, or from the one given",
    )
    parser.add_argument("--amp", action="store_true", help="train in mixed precision (needs a GPU)")
    parser.add_argument("--no-validate", action="store_true", help="do not validate between epochs")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    return parser.parse_args(argv)


def apply_arguments(config, args: argparse.Namespace) -> None:
    """Applies the command line's options to the config.

    Raises:
        RuntimeError: If mixed precision is requested without a GPU.
        ValueError: If learning rate scaling is requested and the config has no base batch size.
    """
    if args.amp:
        if not torch.cuda.is_available():
            raise RuntimeError("`--amp` needs a GPU, and torch sees none: leave it out.")
        config.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    if args.no_validate:
        config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    if args.auto_scale_lr:
        if "base_batch_size" not in config.get("auto_scale_lr", {}):
            raise ValueError("`--auto-scale-lr` needs `auto_scale_lr = dict(base_batch_size=...)` in the config.")
        config.auto_scale_lr.enable = True
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == "auto" else args.resume


@command("interrupted: `--resume` goes on from the last checkpoint", refusing=False)
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Trains a model."""
    args = parse_args(argv, prog)
    with safe_loading():
        with refusals():
            config = load_config(args)
            check_sets(args.config, config, ("train_cfg", "train_dataloader", "optim_wrapper"), "to train")
            apply_arguments(config, args)
            start_processes(config)
            runner = build_runner(config)
        runner.register_hook(MatchingCheckpointHook())
        around_building(runner, refusals())
        runner.load_or_resume = refusals()(runner.load_or_resume)
        # Data are read here, and checkpoints of `init_cfg` or of a teacher.
        with refusals((RunError,)), explaining_run(runner):
            runner.train()
