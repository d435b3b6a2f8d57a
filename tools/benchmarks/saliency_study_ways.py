"""Why a part of the model helps or does not: the model with a condition disturbed, and what it learned."""

from collections.abc import Iterable

import torch

from sos_mm.saliency.evaluation.baselines import Predictor
from sos_mm.saliency.models.base_segmentor import ground_truth, to_signed
from sos_mm.saliency.models.segmentor import Conditions, LatentDiffusionSegmentor

DISTURBANCES = ("features of another image", "latents of another image", "cross-attention silenced")


def disturbed(model: LatentDiffusionSegmentor, what: str) -> Predictor:
    """Returns a predictor with one condition of the model taken from another image of the batch, or disabled."""

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
    """Returns the learned values of the AFIM, if the model has one: scales of positions, and gates over time."""
    found = {name: float(value) for name, value in model.named_parameters() if name.endswith("position_scale")}
    gate = getattr(getattr(model.decode_head, "afim", None), "gate", None)
    if gate is not None:
        times = torch.tensor([999, 749, 499, 249, 0])
        with torch.no_grad():
            found["gates"] = {int(t): row.tolist() for t, row in zip(times, gate(times), strict=True)}
    return found


@torch.no_grad()
def drift(model: LatentDiffusionSegmentor, batches: Iterable[dict], steps: int = 10) -> dict[str, dict[int, float]]:
    """Measures how well the clean mask is estimated at the timesteps of a sampling process.

    A model whose estimates get better as noise falls away from the true mask, and worse as it falls away from its own,
    takes over the errors of its earlier steps.

    Args:
        model: The model.
        batches: Of a test data loader.
        steps: Steps of the process.

    Returns:
        Mean absolute errors by timestep, "from the true mask" with noise and "from its own" latents.
    """
    head, sums, number = model.decode_head, {"from the true mask": {}, "from its own": {}}, 0
    noise_of = torch.Generator().manual_seed(0)
    for batch in batches:
        data = model.data_preprocessor(batch, training=False)
        inputs, samples = data["inputs"], data["data_samples"]
        conditions = model.encode_conditions(inputs)
        context, image_latent = head.condition(conditions.features), conditions.image_latent
        mask = ground_truth(samples, inputs)
        latent = model.codec.encode(to_signed(mask).expand(-1, 3, -1, -1))
        noise = torch.randn(latent.shape, generator=noise_of)
        number += len(mask)
        for step in head.sample(context, image_latent, noise, steps):
            times = step.timestep.expand(len(mask))
            noisy = head.scheduler.add_noise(latent, noise, times)
            velocity = head.denoiser(image_latent, noisy, times, head.afim.at(context, times))
            # The rotation that makes the velocity of mask and noise makes the mask of velocity and noisy mask.
            clean = head.scheduler.get_velocity(velocity, noisy, times)
            for kind, found in zip(sums, (clean, step.clean), strict=True):
                errors = (model.decode_mask(found) - mask).abs().mean((1, 2, 3)).sum()
                sums[kind][int(step.timestep)] = sums[kind].get(int(step.timestep), 0) + float(errors)
    return {kind: {time: total / number for time, total in found.items()} for kind, found in sums.items()}
