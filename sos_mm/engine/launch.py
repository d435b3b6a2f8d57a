"""Functions shared by the training and testing tools: reading configs with overrides, and starting processes."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from sos_mm.checks import RENAMED_TEST_CFG, did_you_mean, present_names, writable_folder
from sos_mm.compat import check_openmmlab
from sos_mm.config_file import open_model_config
from sos_mm.engine.checkpoints import safe_loading
from sos_mm.engine.config_errors import naming_settings, settings_in
from sos_mm.engine.hooks import DropTokenPositions
from sos_mm.terminal import log_prints

# Top-level settings that the runner and these tools read. Other top-level names of a config are variables, which are
# consumed while it loads, or settings that a user's hooks and evaluators read.
RUNNER_KEYS = [
    *("model", "work_dir", "data_preprocessor", "load_from", "resume", "launcher", "log_level", "log_processor"),
    *("visualizer", "default_scope", "randomness", "experiment_name", "env_cfg", "default_hooks", "custom_hooks"),
    *("optim_wrapper", "param_scheduler", "auto_scale_lr", "model_wrapper_cfg", "find_unused_parameters", "cfg"),
    *(f"{kind}_{part}" for kind in ("train", "val", "test") for part in ("cfg", "dataloader", "evaluator")),
    *("runner_type", "compile", "custom_imports", "vis_backends", "tta_model", "tta_pipeline"),
]
# Modules that print what they are doing, such as "index created!".
_PRINTING = ("pycocotools.coco", "pycocotools.cocoeval")
_PRINTING_OF_MMDET = ("mmdet.datasets.api_wrappers.coco_api", "mmdet.datasets.api_wrappers.cocoeval_mp")
# The methods by which a runner builds what it needs, when it starts to train or to test.
_BUILDING = (
    *("build_train_loop", "build_val_loop", "build_test_loop"),
    *("build_optim_wrapper", "build_param_scheduler", "scale_lr"),
)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that OpenMMLab's training and testing tools have in common."""
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="where logs and results go (default: work_dirs/NAME_OF_CONFIG)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="override settings, as in `--cfg-options train_dataloader.batch_size=8 train_cfg.max_epochs=4`",
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    # torchrun's predecessor passes the rank as an argument.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Reads ``args.config`` with ``args.cfg_options``, and determines the work folder.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If the file is not the config of a model, or an override is for a variable that was consumed while
            the config was loaded (names the setting to override instead), or for a place that the config lacks, or a
            key of the config or of an override looks like a misspelt one.
        PermissionError: If the work folder cannot be written.
    """
    check_openmmlab("mmengine", "mmcv")
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    config = open_model_config(args.config)
    for key in config:
        if key not in RUNNER_KEYS and (hint := did_you_mean(key, RUNNER_KEYS, cutoff=0.95)):
            raise ValueError(f"{args.config} sets `{key}`, which nothing reads.{hint}")
    options = named_as_in(config, args.cfg_options or {})
    for key in options:
        check_override(config, key)
    try:
        config.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"`--cfg-options` does not fit the config: {str(error.args[0]).strip()}") from error
    config.launcher = args.launcher
    config.work_dir = args.work_dir or config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"
    writable_folder(config.work_dir, "The work folder (--work-dir)")
    return config


def named_as_in(config: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns overrides under those names, present or old, that the config has in its model's ``test_cfg``.

    Raises:
        ValueError: If a setting is overridden under both names.
    """
    settings = config.get("model", {}).get("test_cfg") or {}
    names = {old: new for old, new in RENAMED_TEST_CFG.items() if new in settings}
    names |= {new: old for old, new in RENAMED_TEST_CFG.items() if old in settings and new not in settings}
    return present_names(options, {f"model.test_cfg.{a}": f"model.test_cfg.{b}" for a, b in names.items()})


def check_override(config: Config, key: str) -> None:
    """Checks that overriding a key of a config has an effect.

    Args:
        config: The config, before the override.
        key: Dotted name of the setting that is overridden.

    Raises:
        ValueError: If the top level of the key is a variable that was consumed while the config was loaded, or is not
            in the config and looks like a misspelt one.
    """
    name = key.split(".")[0]
    if name in RUNNER_KEYS:
        return
    if name not in config:
        if hint := did_you_mean(name, [*RUNNER_KEYS, *config], cutoff=0.85):
            raise ValueError(f"`--cfg-options` sets `{key}`, which nothing reads.{hint}")
        return
    if effective := settings_made_of(config, name):
        raise ValueError(
            f"`--cfg-options` cannot set `{key}`: `{name}` is a variable that was consumed while the config was "
            f"loaded. Override {' or '.join(f'`{each}`' for each in effective[:3])} instead."
        )


def settings_made_of(config: Config, name: str) -> list[str]:
    """Finds the settings of the runner that hold the value of a variable of a config.

    Returns:
        Dotted names: those that end in the variable's name, or else all of them, unless the value is a plain number.
    """
    plain = config.to_dict()
    read = {key: plain[key] for key in RUNNER_KEYS if key in plain}
    found = [path for path, value in settings_in(read) if value == plain[name]]
    same = [path for path in found if path.rsplit(".", 1)[-1] == name]
    return same or ([] if isinstance(plain[name], int | float | None) else found)


def start_processes(config: Config) -> None:
    """Initialises distributed training without a GPU, with the backend gloo.

    mmengine's own initialisation requires a CUDA device, and so does its model wrapper.
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
    """Builds the runner of a config, of its ``runner_type`` if it has one.

    The output that pycocotools and mmdet print while they read annotation files and evaluate is sent to their loggers.

    Raises:
        ValueError: If a part of the config cannot be built; names the setting. Later also where the runner builds what
            it needs to train or to test.
    """
    log_prints(*_PRINTING, *(_PRINTING_OF_MMDET if config.get("default_scope") == "mmdet" else ()))
    with naming_settings(config):
        runner = RUNNERS.build(config) if "runner_type" in config else Runner.from_cfg(config)
    around_building(runner, naming_settings(config))
    return runner


def around_building(runner: Runner, decorator: Callable[[Callable], Callable]) -> None:
    """Decorates what a runner calls to build loops, optimizers and schedulers when it starts to train or to test."""
    for name in _BUILDING:
        if hasattr(runner, name):
            setattr(runner, name, decorator(getattr(runner, name)))


def build_trained(config: Config, checkpoint: str) -> Runner:
    """Builds a runner whose model holds exactly the weights of a checkpoint.

    Pretrained weights and those of ``load_from`` are not loaded, since the checkpoint replaces them. If training
    averaged weights (``EMAHook``), the checkpoint holds the average already; the hook, which would copy the model and
    cannot load before a run, is left out.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        UnsafeCheckpointError: If it contains anything but weights and a training's state.
        RuntimeError: If it is of another architecture; names the parameters that differ.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"The checkpoint {checkpoint} does not exist.")
    leave_out_pretrained(config.model)
    # Initial weights of a training would overwrite the checkpoint's.
    config.update(load_from=None, resume=False)
    hooks = config.get("custom_hooks") or []
    config.custom_hooks = [hook for hook in hooks if hook["type"] not in ("EMAHook", "mmengine.EMAHook")]
    with safe_loading():
        runner = build_runner(config)
        runner.register_hook(DropTokenPositions())
        runner.load_checkpoint(checkpoint, map_location="cpu", strict=True)
    return runner


def leave_out_pretrained(model: dict) -> None:
    """Sets every ``pretrained`` in a model's config to its value for random weights."""
    for key, value in model.items():
        if key == "pretrained":
            model[key] = False if isinstance(value, bool) else None
        elif isinstance(value, dict):
            leave_out_pretrained(value)
