"""Writes an HTML page about a trained saliency model: scores, predictions, sampling, data, loss. Opens from disk."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from markupsafe import Markup
from mmengine.dataset import BaseDataset

from sos_mm.atomic import write_atomic
from sos_mm.images import read_image, read_mask
from sos_mm.page import part, render, source
from sos_mm.saliency.evaluation.attention import attention_maps, on_image
from sos_mm.saliency.evaluation.visualization import false_colors, grey_image, side_by_side
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor

# Height of the images in a figure, in pixels.
_HEIGHT = 150


@dataclass
class Section:
    """A section of the page: a heading, a sentence, and the figures and tables under it."""

    heading: str
    about: str
    parts: list[Markup] = field(default_factory=list)


def write_page(path: Path, title: str, subtitle: str, sections: list[Section]) -> None:
    """Writes the page, completely or not at all."""
    css = source("saliency_report.css")
    page = render("saliency_report.html", title=title, subtitle=subtitle, css=css, sections=sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page.encode())


def figure(image: np.ndarray, caption: str) -> Markup:
    """Renders an image (H, W, 3) uint8 RGB with a caption as HTML, which holds the image itself."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return part("image", f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}", caption)


def grid(figures: list[Markup]) -> Markup:
    """Renders figures side by side, as many as fit."""
    return part("grid", figures)


def score_table(scores: dict[str, dict[str, float]]) -> Markup:
    """Formats scores as an HTML table: a row a predictor, a column a score."""
    names = list(next(iter(scores.values())))
    heads = ["", *(name.split("/")[-1] for name in names)]
    return part("table", heads, [(who, *(f"{row[name]:.4f}" for name in names)) for who, row in scores.items()])


def text_table(scores: dict[str, dict[str, float]]) -> str:
    """Formats scores as a table for a terminal, without the means of each image's own maximum."""
    names = [name for name in next(iter(scores.values())) if not name.endswith("_per_image")]
    width = max(len(who) for who in scores)
    lines = [" " * width + "".join(f"{name.split('/')[-1]:>10}" for name in names)]
    lines += [f"{who:<{width}}" + "".join(f"{row[name]:10.4f}" for name in names) for who, row in scores.items()]
    return "\n".join(lines)


def data_pairs(dataset: BaseDataset, number: int) -> list[Markup]:
    """Renders the first images of a saliency data set beside their masks, as figures."""
    figures = []
    for index in range(min(number, len(dataset))):
        paths = dataset.get_data_info(index)
        pair = [read_image(paths["img_path"], 3), cv2.cvtColor(read_mask(paths["mask_path"]), cv2.COLOR_GRAY2RGB)]
        figures.append(figure(side_by_side(pair, _HEIGHT), Path(paths["img_path"]).stem))
    return figures


@torch.no_grad()
def sampling_strip(model: LatentDiffusionSegmentor, batch: dict, index: int, num_inference_steps: int) -> Markup:
    """Renders image, ground truth and the estimate of the mask after each sampling step, as a figure.

    Args:
        model: The model.
        batch: A batch of a test data loader.
        index: Index of the image in the batch.
        num_inference_steps: Number of sampling steps.
    """
    data = model.data_preprocessor(batch, training=False)
    inputs, sample = data["inputs"][index : index + 1], data["data_samples"][index]
    settings = dict(num_inference_steps=num_inference_steps)
    process = model.sample_latents(model.encode_conditions(inputs), [sample], test_cfg=settings)
    image = (inputs[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    estimates = [grey_image(model.decode_mask(step.clean)[0]) for step in process]
    strip = side_by_side([image, grey_image(sample.gt_saliency.data), *estimates], _HEIGHT)
    timesteps = ", ".join(str(int(step.timestep)) for step in process)
    return figure(strip, f"{Path(sample.img_path).stem}: image, ground truth, estimates at timesteps {timesteps}")


def attention_row(model: LatentDiffusionSegmentor, batch: dict, index: int) -> Markup:
    """Renders image, prediction, and the attention of salient positions at each level of the U-Net, as a figure.

    Args:
        model: The model.
        batch: A batch of a test data loader.
        index: Index of the image in the batch.
    """
    data = model.data_preprocessor(batch, training=False)
    inputs, sample = data["inputs"][index : index + 1], data["data_samples"][index]
    maps = attention_maps(model, inputs, sample)
    image = read_image(sample.img_path, 3)
    faint = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * np.float32(0.4)
    shown = [false_colors(on_image(each, inputs.shape[-2:], sample)[0].cpu().numpy()) for each in maps.values()]
    overlays = [np.rint(faint + 0.6 * each).astype(np.uint8) for each in shown]
    with torch.no_grad():
        predicted = model.predict(inputs, [sample.clone()])[0].pred_saliency.data
    sizes = ", ".join(f"{each.shape[0]}x{each.shape[1]}" for each in maps.values())
    text = f"{Path(sample.img_path).stem}: image, prediction, attention at {sizes}"
    return figure(side_by_side([image, grey_image(predicted), *overlays], _HEIGHT), text)


def loss_curve(logs: list[Path]) -> Markup:
    """Plots the logged losses over iterations, as a figure.

    Args:
        logs: The files that mmengine's ``LocalVisBackend`` wrote, one a run of a resumed training, in
            order; each holds a JSON object a line.
    """
    records = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    names = sorted({key for record in records for key in record if key.startswith("loss")})
    # A step that was made again after an interruption counts once, the last time.
    series = {name: sorted({r["step"]: r[name] for r in records if name in r}.items()) for name in names}
    # Imported here: it takes a second, and only this figure needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(8, 3), layout="constrained"))
    axes = canvas.figure.subplots()
    for name, points in series.items():
        axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="iteration", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    canvas.draw()
    return figure(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]), "Losses in training")
