"""Why a part of the model helps or does not: the model with a condition disturbed, and what it learned."""

import torch

from sos_mm.saliency.references import Predictor
from sos_mm.saliency.segmentor import Conditions, LatentDiffusionSegmentor

DISTURBANCES = ("features of another image", "latents of another image", "cross-attention silenced")


def disturbed(model: LatentDiffusionSegmentor, what: str) -> Predictor:
    """The model with one of its conditions taken from another image of the batch, or not listened to."""

    def predict(inputs, samples):
        own = model.encode_conditions(inputs)
        features, latent = own
        if what == "features of another image":
            features = features._replace(pyramid=tuple(each.roll(1, 0) for each in features.pyramid))
        if what == "latents of another image":
            latent = latent.roll(1, 0)
        context = model.decode_head.condition(features)
        if what == "cross-attention silenced":
            context = context._replace(gates=latent.new_zeros(len(latent), model.decode_head.denoiser.levels))
        process = model.sample_latents(Conditions(features, latent), samples, context=context)
        members = model.decode_mask(process[-1].latent)[None]
        return [model.fill(each, members[:, index]) for index, each in enumerate(samples)]

    return predict


def learned(model: torch.nn.Module) -> dict:
    """What the AFIM has learned, where there is one: scales of positions, and gates over time."""
    found = {name: float(value) for name, value in model.named_parameters() if name.endswith("position_scale")}
    gate = getattr(getattr(model.decode_head, "afim", None), "gate", None)
    if gate is not None:
        times = torch.tensor([999, 749, 499, 249, 0])
        with torch.no_grad():
            found["gates"] = {int(t): row.tolist() for t, row in zip(times, gate(times), strict=True)}
    return found
