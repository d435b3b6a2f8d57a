"""Tests a model: `python tools/test.py configs/sod_diffusion_swinb.py CHECKPOINT`."""

import argparse
from pathlib import Path

from sos_mm.launch import add_common_arguments, build_trained, load_config, start_processes


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="folder for the predicted maps, as PNG at the original size")
    parser.add_argument("--show-dir", help="folder for rows of image, ground truth and prediction, one an image")
    return parser.parse_args()


def main() -> None:
    """Tests."""
    args = parse_args()
    config = load_config(args)
    hooks = config.get("custom_hooks") or []
    if args.out:
        hooks.append(dict(type="sos_mm.SaveSaliencyHook", folder=str(Path(args.out).absolute())))
    if args.show_dir:
        folder = str(Path(args.show_dir).absolute())
        hooks.append(dict(type="sos_mm.SaliencyVisualizationHook", number=None, folder=folder))
    config.custom_hooks = hooks
    start_processes(config)
    build_trained(config, args.checkpoint).test()


if __name__ == "__main__":
    main()
