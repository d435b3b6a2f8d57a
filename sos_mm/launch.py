"""What the training and testing tools share: reading a config with its overrides, and starting processes."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from sos_mm.checks import check_choice, writable_folder
from sos_mm.compat import check_openmmlab

# Runner.from_cfg reads these though a config may leave them out.
RUNNER_KEYS = ("auto_scale_lr", "cfg", "find_unused_parameters", "load_from", "model_wrapper_cfg", "resume", "work_dir")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that OpenMMLab's training and testing tools have in common."""
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="where logs and results go (default: work_dirs/NAME_OF_CONFIG)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="override settings, as in `--cfg-options train_dataloader.batch_size=8 model.test_cfg.steps=4`",
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    # torchrun's predecessor passes the rank as an argument.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Reads ``args.config`` with ``args.cfg_options``, and settles the work folder.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If an override's first key exists in no config of this kind.
        PermissionError: If the work folder cannot be written.
    """
    check_openmmlab("mmengine", "mmcv")
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if not Path(args.config).is_file():
        raise FileNotFoundError(f"The config {args.config} does not exist.")
    config = Config.fromfile(args.config)
    for key in args.cfg_options or {}:
        check_choice("--cfg-options", key.split(".")[0], {*config.keys(), *RUNNER_KEYS})
    config.merge_from_dict(args.cfg_options or {})
    config.launcher = args.launcher
    config.work_dir = args.work_dir or config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"
    writable_folder(config.work_dir, "The work folder (--work-dir)")
    return config


def start_processes(config: Config) -> None:
    """Without a GPU, joins the processes that the launcher started by gloo.

    mmengine's own start asks CUDA for a device, and its model wrapper names one.
    """
    if config.launcher == "none" or torch.cuda.is_available():
        return
    if config.launcher != "pytorch":
        raise RuntimeError(f"Without a GPU the launcher must be 'pytorch', but got {config.launcher!r}.")
    torch.distributed.init_process_group("gloo")
    config.model_wrapper_cfg = dict(
        type="MMDistributedDataParallel",
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=config.get("find_unused_parameters", False),
    )


def build_runner(config: Config) -> Runner:
    """The runner of a config, of its own type where it names one."""
    if "runner_type" not in config:
        return Runner.from_cfg(config)
    from mmengine.registry import RUNNERS

    return RUNNERS.build(config)
