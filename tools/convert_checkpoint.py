"""Converts the authors' released checkpoints to one of ours, and back.

python tools/convert_checkpoint.py --unet CHECKPOINT/unet --branch swin_ft_499.pth --base BASE_MODEL --out released.pth
python tools/convert_checkpoint.py --back released.pth --unet FOLDER --branch FILE
"""

import argparse
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from sos_mm.cli.ending import command
from sos_mm.config_file import open_model_config
from sos_mm.engine.checkpoints import read_checkpoint
from sos_mm.engine.launch import leave_out_pretrained

CONFIG = Path(__file__).resolve().parent.parent / "configs/sod_diffusion/sod_diffusion_swinb_released.py"


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", type=Path, required=True, help="the authors' folder of the U-Net")
    parser.add_argument("--branch", type=Path, required=True, help="the authors' file of the Swin branch (.pth)")
    parser.add_argument("--base", help="base model (folder, .safetensors file or hub id), for its VAE")
    parser.add_argument("--out", type=Path, help="the checkpoint to write")
    parser.add_argument("--back", type=Path, help="a checkpoint of ours to turn into --unet and --branch")
    parser.add_argument("--config", default=str(CONFIG), help="config of the model (default: %(default)s)")
    args = parser.parse_args()
    if args.back is None and (args.base is None or args.out is None):
        parser.error("give --base and --out, or --back")
    return args


@command()
def main() -> None:
    """Converts a checkpoint."""
    args = parse_args()
    from sos_mm.saliency.apis import released_checkpoint

    if args.back:
        checkpoint = read_checkpoint(args.back)
        released_checkpoint.export_released(checkpoint, args.unet, args.branch)
        print(f"{args.unet} and {args.branch}: the authors' names")
        return
    init_default_scope("mmseg")
    model = open_model_config(args.config).model
    leave_out_pretrained(model)
    checkpoint = released_checkpoint.import_released(model, args.unet, args.branch, args.base)
    torch.save(checkpoint, args.out)
    used, aside = checkpoint["state_dict"], checkpoint["meta"]["released_aside"]
    print(f"{args.out}: {len(used)} parameters; {len(aside)} that the model never runs are kept aside")


if __name__ == "__main__":
    main()
