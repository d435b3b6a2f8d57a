"""Tests a model: `sos-mm test configs/sod_diffusion_swinb.py CHECKPOINT`.

For several data sets (in a ConcatDataset) a table is printed at the end, and images are written to one folder each.
With an ensemble (`--cfg-options model.test_cfg.ensemble_size=4`) the rows of `--show-dir` end with its uncertainty.

One process a GPU: `torchrun --nproc_per_node 8 -m sos_mm test CONFIG CHECKPOINT --launcher pytorch`, or under slurm
`srun --ntasks 8 --gres gpu:8 sos-mm test CONFIG CHECKPOINT --launcher slurm`; in a clone also tools/dist_test.sh and
tools/slurm_test.sh.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from sos_mm.cli.ending import command, refusals
from sos_mm.cli.parsing import new_parser
from sos_mm.config_file import check_sets
from sos_mm.engine.launch import add_common_arguments, around_building, build_trained, load_config, start_processes
from sos_mm.engine.run_errors import RunError, explaining_run


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("test", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="folder for the maps, as PNG at the original size")
    parser.add_argument("--show-dir", help="folder for rows of image, ground truth and prediction, one an image")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation: the config's `tta_pipeline`")
    return parser.parse_args(argv)


def augment(config: Config) -> None:
    """Lets every test set use ``tta_pipeline``, and the model average the predictions.

    Raises:
        ValueError: If the config has no settings for test-time augmentation.
    """
    for key in ("tta_model", "tta_pipeline"):
        if key not in config:
            raise ValueError(f"`--tta` needs `{key}` in the config, as configs/_base_/datasets/saliency.py has it.")
    dataset = config.test_dataloader.dataset
    for each in dataset.get("datasets", [dataset]):
        each.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


@command(refusing=False)
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Tests a model."""
    args = parse_args(argv, prog)
    with refusals():
        config = load_config(args)
        check_sets(args.config, config, ("test_cfg", "test_dataloader", "test_evaluator"), "to test")
    hooks = config.get("custom_hooks") or []
    if args.out:
        hooks.append(dict(type="sos_mm.SaveSaliencyHook", folder=str(Path(args.out).absolute())))
    if args.show_dir:
        folder = str(Path(args.show_dir).absolute())
        hooks.append(dict(type="sos_mm.SaliencyVisualizationHook", number=None, folder=folder))
    config.custom_hooks = hooks
    with refusals():
        if args.tta:
            augment(config)
        start_processes(config)
        runner = build_trained(config, args.checkpoint)
    around_building(runner, refusals())
    with refusals((RunError,)), explaining_run(runner):
        runner.test()
