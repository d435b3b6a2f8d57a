"""Baselines of a saliency model: a centre prior, its encoder alone, and itself with shuffled conditions.

A model that is no better than the centre prior has learned where objects are, not what they look like. A model that
loses nothing when its conditions come from another image does not use the image.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from sos_mm.saliency.evaluation.metric import SODMetric
from sos_mm.saliency.models.base_segmentor import SaliencySegmentor
from sos_mm.saliency.models.fusion import SalientFeatures
from sos_mm.saliency.models.segmentor import Conditions, LatentDiffusionSegmentor

Predictor = Callable[[Tensor, list[SegDataSample]], list[SegDataSample]]


def centre_prior(height: int, width: int, spread: float = 0.4) -> Tensor:
    """Computes a Gaussian around the image's centre, (1, height, width) in [0, 1].

    Args:
        height: Height in pixels.
        width: Width in pixels.
        spread: Standard deviation as a share of half the side.
    """
    axes = [torch.linspace(-1, 1, length) ** 2 for length in (height, width)]
    return torch.exp(-(axes[0][:, None] + axes[1][None]) / (2 * spread**2))[None]


def predict_centre_prior(inputs: Tensor, samples: list[SegDataSample]) -> list[SegDataSample]:
    """Predicts the centre prior for every image."""
    for sample in samples:
        sample.pred_saliency = PixelData(data=centre_prior(*sample.ori_shape[:2]))
    return samples


def with_settings(model: SaliencySegmentor, **changes) -> Predictor:
    """Makes a predictor: the model with other values in its ``test_cfg``, such as ``num_inference_steps=2``."""
    return partial(model.predict, test_cfg=changes)


def predict_auxiliary(model: LatentDiffusionSegmentor) -> Predictor:
    """Makes a predictor: the encoder's own saliency map, by the head's auxiliary convolution."""
    return with_settings(model, source="auxiliary")


def predict_shuffled(model: LatentDiffusionSegmentor) -> Predictor:
    """Makes a predictor: the full model, given image latents and salient features of the image before.

    The first image of a batch is given the conditions of the last image of the previous batch; in the first batch,
    of the last image of the same batch.
    """
    before: list[Conditions] = []

    def predict(inputs: Tensor, samples: list[SegDataSample]) -> list[SegDataSample]:
        own = model.encode_conditions(inputs)
        if len(samples) < 2 and not before:
            raise ValueError("There is nothing to shuffle in a first batch of one image: set the test batch_size to 2.")
        members = model.decode_conditions(shifted(before[0] if before else own, own), samples)
        before[:] = [own]
        return [model.fill(sample, members[:, index]) for index, sample in enumerate(samples)]

    return predict


def shifted(before: Conditions, own: Conditions) -> Conditions:
    """Moves every image's conditions to the next one; the first is given the last of ``before``."""
    latent = torch.cat([before.image_latent[-1:], own.image_latent[:-1]])
    if own.features is None or before.features is None:
        return Conditions(None, latent)
    pyramids = zip(before.features.pyramid, own.features.pyramid, strict=True)
    return Conditions(SalientFeatures(tuple(torch.cat([a[-1:], b[:-1]]) for a, b in pyramids)), latent)


def predictors(model: SaliencySegmentor) -> dict[str, Predictor]:
    """Lists the model and its baselines, by the names that tables show.

    A branch alone has fewer: it has no auxiliary map, and no conditions to shuffle.
    """
    named: dict[str, Predictor] = {"centre prior": predict_centre_prior}
    if not isinstance(model, LatentDiffusionSegmentor):
        return named | {"branch alone": model.predict}
    if model.decode_head.auxiliary is not None:
        named["auxiliary map of the encoder"] = predict_auxiliary(model)
    named["full model"] = model.predict
    named["full model, conditions shuffled"] = predict_shuffled(model)
    return named


@torch.no_grad()
def evaluate(
    model: LatentDiffusionSegmentor, batches: Iterable[dict], named: dict[str, Predictor]
) -> dict[str, dict[str, float]]:
    """Scores several predictors on the same data.

    Args:
        model: Gives the preprocessing.
        batches: Batches of a test data loader.
        named: The predictors.

    Returns:
        For each predictor, :class:`SODMetric`'s scores.
    """
    metrics = {name: SODMetric() for name in named}
    number = 0
    for batch in batches:
        data = model.data_preprocessor(batch, training=False)
        number += len(data["data_samples"])
        for name, predict in named.items():
            samples = predict(data["inputs"], [sample.clone() for sample in data["data_samples"]])
            metrics[name].process(batch, [sample.cpu().to_dict() for sample in samples])
    return {name: metric.evaluate(number) for name, metric in metrics.items()}
