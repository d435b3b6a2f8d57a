"""Evaluates a saliency model against its references and writes one page: `report_saliency.py CONFIG CHECKPOINT`."""

import argparse
from itertools import islice
from math import ceil
from pathlib import Path

import torch
from markupsafe import Markup
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_renamed_argument
from sos_mm.engine.launch import add_common_arguments, build_trained, load_config
from sos_mm.engine.run_errors import explaining_run
from sos_mm.images import read_image
from sos_mm.saliency.evaluation import baselines, report
from sos_mm.saliency.evaluation.visualization import grey_image, side_by_side
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", help="the page (default: report.html in the work folder)")
    parser.add_argument("--rows", type=int, default=12, help="prediction rows to show")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of training data to show")
    parser.add_argument("--closely", type=int, default=2, help="images whose sampling and attention are shown")
    about = "steps of the sampling strips (default: 6)"
    add_renamed_argument(parser, "--num-inference-steps", "--sampling-steps", type=int, default=6, help=about)
    return parser.parse_args()


@torch.no_grad()
def prediction_rows(model, batches: list[dict]) -> list[Markup]:
    """Returns rows of image, ground truth, auxiliary map (if the model has one) and prediction, one figure an image."""
    named = baselines.predictors(model)
    shown = [named[name] for name in ("auxiliary map of the encoder", "branch alone", "full model") if name in named]
    rows = []
    for batch in batches:
        data = model.data_preprocessor(batch, training=False)
        predicted = [predict(data["inputs"], [s.clone() for s in data["data_samples"]]) for predict in shown]
        for index, sample in enumerate(data["data_samples"]):
            maps = [sample.gt_saliency.data, *(samples[index].pred_saliency.data for samples in predicted)]
            images = [read_image(sample.img_path, 3), *map(grey_image, maps)]
            rows.append(report.figure(side_by_side(images, 150), Path(sample.img_path).stem))
    return rows


def page_sections(runner: Runner, args: argparse.Namespace, scores: dict) -> list[report.Section]:
    """Returns the sections of the page."""
    model, loader, config = runner.model, runner.test_dataloader, runner.cfg
    batches = list(islice(loader, ceil(args.rows / loader.batch_size)))
    rows = prediction_rows(model, batches)[: args.rows]
    # The branch alone has neither sampling nor attention.
    closely = range(min(args.closely, len(batches[0]["inputs"])) if isinstance(model, LatentDiffusionSegmentor) else 0)
    strips = [report.sampling_strip(model, batches[0], index, args.num_inference_steps) for index in closely]
    # A model without features has no attention to them.
    attends = getattr(model.decode_head, "afim", None) is not None
    attention = [report.attention_row(model, batches[0], index) for index in closely if attends]
    test_root, train_root = (config[f"{kind}_dataloader"].dataset.data_root for kind in ("test", "train"))
    pairs = report.data_pairs(DATASETS.build(config.train_dataloader.dataset), args.pairs)
    logs = sorted(Path(args.checkpoint).parent.glob("*/vis_data/scalars.json"))
    about_rows = "Image, ground truth, auxiliary map of the encoder, full model."
    about_attention = "What the salient positions read of the image, at each level of the U-Net."
    about_strips = "The estimate of the mask after each step, starting from noise."
    sections = [
        report.Section("Scores", f"On {len(loader.dataset)} images of {test_root}.", [report.score_table(scores)]),
        report.Section("Predictions", about_rows, [report.grid(rows)]),
        report.Section("Sampling", about_strips, strips),
        report.Section("Attention", about_attention, attention),
        report.Section("Training data", f"From {train_root}.", [report.grid(pairs)]),
    ]
    if logs:
        sections.append(report.Section("Loss", f"Logged in {logs[-1]}.", [report.loss_curve(logs)]))
    return sections


@command()
def main() -> None:
    """Prints the table and writes the page."""
    args = parse_args()
    config = load_config(args)
    if config.launcher != "none":
        raise ValueError(f"The report is made in one process, but got `--launcher {config.launcher}`.")
    runner = build_trained(config, args.checkpoint)
    model = runner.model.eval()
    with explaining_run(runner):
        scores = baselines.evaluate(model, runner.test_dataloader, baselines.predictors(model))
    print(report.text_table(scores))
    page = Path(args.out or Path(config.work_dir, "report.html"))
    about = f"{args.config}, {args.checkpoint}"
    sections = page_sections(runner, args, scores)
    report.write_page(page, "Salient object detection by latent diffusion", about, sections)
    print(f"The page: {page.absolute()}")


if __name__ == "__main__":
    main()
