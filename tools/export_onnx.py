"""Exports a one-step saliency model as ONNX, and compares it with the model in onnxruntime.

python tools/export_onnx.py configs/sod_diffusion/sod_diffusion_swinb_1step.py epoch_4.pth one_step.onnx
python tools/cutout.py photos results --onnx one_step.onnx
"""

import argparse

from mmengine.config import DictAction

from sos_mm.cli.ending import command, refuse
from sos_mm.saliency.apis.export import export_onnx, parity
from sos_mm.saliency.apis.inferencer import SODInferencer


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config of the model")
    parser.add_argument("checkpoint", help="its checkpoint")
    parser.add_argument("out", help="the ONNX file to write")
    parser.add_argument(
        "--test-cfg",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="values that replace those of the model's test_cfg, such as num_inference_steps=1 ensemble_size=1",
    )
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest difference that is accepted")
    return parser.parse_args()


@command()
def main() -> None:
    """Writes the file and prints its deviation from the model."""
    args = parse_args()
    inferencer = SODInferencer(args.config, args.checkpoint, device="cpu", test_cfg=args.test_cfg)
    path = export_onnx(inferencer.model, args.out, inferencer.input_size())
    difference = parity(inferencer.model, path)
    print(f"{path}: differs from the model by at most {difference:.1e}")
    if not difference <= args.tolerance:
        refuse(f"that is more than {args.tolerance:g}")


if __name__ == "__main__":
    main()
