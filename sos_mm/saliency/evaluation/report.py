"""One HTML page about a trained saliency model: scores, predictions, sampling, data and loss. Opens from disk."""

import base64
import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset

from sos_mm.atomic import write_atomic
from sos_mm.checks import read_image
from sos_mm.saliency.evaluation.attention import attention_maps, on_image
from sos_mm.saliency.evaluation.visualization import grey_picture, heat, side_by_side
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor

PAGE = Template(
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; } td, th { padding: .3rem .9rem; border-bottom: 1px solid #8886; text-align: left; }
td + td, th + th { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1rem; } figcaption { color: #888; font-size: .85rem; }
img { max-width: 100%; } .grid { display: flex; flex-wrap: wrap; gap: .6rem; } .note { color: #888; }
</style>
<h1>$title</h1><p class="note">$subtitle</p>
$body
</html>
"""
)


@dataclass
class Section:
    """A heading, a sentence, and what stands under it as HTML."""

    heading: str
    about: str
    parts: list[str] = field(default_factory=list)

    def html(self) -> str:
        """The section as HTML."""
        return f"<h2>{html.escape(self.heading)}</h2><p>{html.escape(self.about)}</p>{''.join(self.parts)}"


def write_page(path: Path, title: str, subtitle: str, sections: list[Section]) -> None:
    """Writes the page, whole or not at all."""
    body = "\n".join(section.html() for section in sections)
    page = PAGE.substitute(title=html.escape(title), subtitle=html.escape(subtitle), body=body)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page.encode())


def figure(picture: np.ndarray, caption: str) -> str:
    """A picture (H, W, 3) uint8 RGB with a caption, as HTML that holds the picture itself."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    source = base64.b64encode(encoded.tobytes()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{source}"><figcaption>{text}</figcaption></figure>'


def grid(figures: list[str]) -> str:
    """Figures beside each other, as many as fit."""
    return f'<div class="grid">{"".join(figures)}</div>'


def score_table(scores: dict[str, dict[str, float]]) -> str:
    """A row a predictor, a column a score, as HTML."""
    names = list(next(iter(scores.values())))
    head = "".join(f"<th>{html.escape(name.split('/')[-1])}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{html.escape(who)}</td>{''.join(f'<td>{row[name]:.4f}</td>' for name in names)}</tr>"
        for who, row in scores.items()
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def text_table(scores: dict[str, dict[str, float]]) -> str:
    """The same for a terminal, which is too narrow for the means of each image's own maximum."""
    names = [name for name in next(iter(scores.values())) if not name.endswith("_per_image")]
    width = max(len(who) for who in scores)
    lines = [" " * width + "".join(f"{name.split('/')[-1]:>10}" for name in names)]
    lines += [f"{who:<{width}}" + "".join(f"{row[name]:10.4f}" for name in names) for who, row in scores.items()]
    return "\n".join(lines)


def data_pairs(dataset: BaseDataset, number: int, height: int = 150) -> list[str]:
    """The first images of a saliency data set beside their masks, as figures."""
    figures = []
    for index in range(min(number, len(dataset))):
        paths = dataset.get_data_info(index)
        pair = [read_image(paths["img_path"], 3), read_image(paths["mask_path"], 3)]
        figures.append(figure(side_by_side(pair, height), Path(paths["img_path"]).stem))
    return figures


@torch.no_grad()
def sampling_strip(model: LatentDiffusionSegmentor, batch: dict, index: int, steps: int, height: int = 150) -> str:
    """Image, ground truth and the estimate of the mask after each sampling step, as a figure.

    Args:
        model: The model.
        batch: A batch of a test data loader.
        index: Which image of it.
        steps: How many steps to sample with.
        height: The strip's height in pixels.
    """
    data = model.data_preprocessor(batch, training=False)
    inputs, sample = data["inputs"][index : index + 1], data["data_samples"][index]
    settings, model.test_cfg = model.test_cfg, {**model.test_cfg, "steps": steps}
    try:
        process = model.sample_latents(model.encode_conditions(inputs), [sample])
    finally:
        model.test_cfg = settings
    image = (inputs[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    estimates = [grey_picture(model.decode_mask(step.clean)[0]) for step in process]
    strip = side_by_side([image, grey_picture(sample.gt_saliency.data), *estimates], height)
    timesteps = ", ".join(str(int(step.timestep)) for step in process)
    return figure(strip, f"{Path(sample.img_path).stem}: image, ground truth, estimates at timesteps {timesteps}")


def attention_row(model: LatentDiffusionSegmentor, batch: dict, index: int, height: int = 150) -> str:
    """Image, prediction, and what the salient positions attend to at each level of the U-Net, as a figure.

    Args:
        model: The model.
        batch: A batch of a test data loader.
        index: Which image of it.
        height: The row's height in pixels.
    """
    data = model.data_preprocessor(batch, training=False)
    inputs, sample = data["inputs"][index : index + 1], data["data_samples"][index]
    maps = attention_maps(model, inputs, sample)
    image = read_image(sample.img_path, 3)
    faint = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * np.float32(0.4)
    shown = [heat(on_image(each, inputs.shape[-2:], sample)[0].cpu().numpy()) for each in maps.values()]
    lit = [np.rint(faint + 0.6 * each).astype(np.uint8) for each in shown]
    with torch.no_grad():
        predicted = model.predict(inputs, [sample.clone()])[0].pred_saliency.data
    sizes = ", ".join(f"{each.shape[0]}x{each.shape[1]}" for each in maps.values())
    text = f"{Path(sample.img_path).stem}: image, prediction, attention at {sizes}"
    return figure(side_by_side([image, grey_picture(predicted), *lit], height), text)


def loss_curve(logs: list[Path]) -> str:
    """The logged losses over iterations, as a figure.

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
