"""What the training and testing tools share: reading a config with its overrides, and starting processes."""

import argparse
import os
from difflib import get_close_matches
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sos_mm.checks import check_choice, writable_folder
from sos_mm.compat import check_openmmlab

# What the runner and these tools read of a config; all else at its top level are the config's own variables.
RUNNER_KEYS = [
    *("model", "work_dir", "data_preprocessor", "load_from", "resume", "launcher", "log_level", "log_processor"),
    *("visualizer", "default_scope", "randomness", "experiment_name", "env_cfg", "default_hooks", "custom_hooks"),
    *("optim_wrapper", "param_scheduler", "auto_scale_lr", "model_wrapper_cfg", "find_unused_parameters", "cfg"),
    *(f"{kind}_{part}" for kind in ("train", "val", "test") for part in ("cfg", "dataloader", "evaluator")),
    *("runner_type", "compile", "custom_imports", "vis_backends", "tta_model", "tta_pipeline"),
]


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
        ValueError: If an override is of something that nothing reads (variables of a config are read while it is
            loaded, so overriding them changes nothing), or a key of the config looks like a misspelt one.
        PermissionError: If the work folder cannot be written.
    """
    check_openmmlab("mmengine", "mmcv")
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if not Path(args.config).is_file():
        raise FileNotFoundError(f"The config {args.config} does not exist.")
    config = Config.fromfile(args.config)
    for key in args.cfg_options or {}:
        check_choice("--cfg-options", key.split(".")[0], RUNNER_KEYS)
    for key in config:
        if key not in RUNNER_KEYS and (near := get_close_matches(key, RUNNER_KEYS, n=1, cutoff=0.95)):
            raise ValueError(f"{args.config} sets `{key}`, which nothing reads. Did you mean {near[0]!r}?")
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


class MatchingCheckpointHook(Hook):
    """Refuses to train on from a checkpoint of another architecture, of which mmengine only warns.

    Resuming, all parts must be the model's; starting from another training's weights (``load_from``), at least some.
    """

    priority = "HIGHEST"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compares names and shapes.

        Raises:
            RuntimeError: If they differ; names the parts.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        got = {name: tuple(value.shape) for name, value in checkpoint.get("state_dict", checkpoint).items()}
        different = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
        if not different or (not runner._resume and wanted.items() & got.items()):
            return
        listed = "; ".join(f"{name} must be {wanted.get(name)}, but is {got.get(name)}" for name in different[:5])
        raise RuntimeError(
            f"The checkpoint is of another architecture: {len(different)} of {len(wanted)} parts differ: {listed}."
        )


def build_trained(config: Config, checkpoint: str) -> Runner:
    """A runner whose model holds a checkpoint's weights, all of them and no others.

    Pretrained weights and those of ``load_from`` are not loaded: the checkpoint's take their place. Where training
    averaged weights (``EMAHook``), those of the checkpoint are the average already; the hook, which would copy the
    model and cannot load before a run, is left out.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        RuntimeError: If it is of another architecture; names the parts that differ.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"The checkpoint {checkpoint} does not exist.")
    leave_out_pretrained(config.model)
    # Weights that training begins with would be loaded over the checkpoint's.
    config.update(load_from=None, resume=False)
    hooks = config.get("custom_hooks") or []
    config.custom_hooks = [hook for hook in hooks if hook["type"] not in ("EMAHook", "mmengine.EMAHook")]
    runner = build_runner(config)
    runner.register_hook(DropTokenPositions())
    runner.load_checkpoint(checkpoint, map_location="cpu", strict=True)
    return runner


class DropTokenPositions(Hook):
    """Drops the numbers of BERT's tokens, 0, 1, 2, ..., that older transformers saved among the weights."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes them out of what was read."""
        state = checkpoint.get("state_dict", checkpoint)
        for name in [each for each in state if each.endswith("embeddings.position_ids")]:
            del state[name]


def leave_out_pretrained(model: dict) -> None:
    """Sets every ``pretrained`` in a model's config to what means random weights."""
    for key, value in model.items():
        if key == "pretrained":
            model[key] = False if isinstance(value, bool) else None
        elif isinstance(value, dict):
            leave_out_pretrained(value)
