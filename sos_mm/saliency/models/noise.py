"""Noise of training: standard normal, or multi-resolution, whose coarse parts hide large objects too."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sos_mm.checks import check_integer, check_range


def standard_normal(generators: list, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draws noise (len(generators), *shape), each row from its own numpy generator, the same on every device."""
    rows = [torch.from_numpy(generator.standard_normal(shape, dtype="float32")) for generator in generators]
    return torch.stack(rows).to(device)


@dataclass(frozen=True)
class MultiResolutionNoise:
    """Sum of noises of ever coarser resolution, scaled back to a standard deviation of one an image.

    Single pixels of white noise are averaged away by a network that looks at large areas, so that it can see a large
    object through noise that should hide it.

    Args:
        levels: Number of noises that are added to white noise: the first is white too, and each other one is coarser
            than the one before.
        discount: Ratio of the amplitudes of a noise and the one before, in [0, 1].
        annealed: Whether ``discount`` is proportional to the timestep, so that noise is white at the last steps, which
            determine fine edges.

    Raises:
        ValueError: If a number is out of its range.
    """

    levels: int = 6
    discount: float = 0.9
    annealed: bool = True

    def __post_init__(self):
        check_integer("levels", self.levels, 1, 16)
        check_range("discount", self.discount, 0, 1)

    def __call__(self, generator: np.random.Generator, shape: tuple[int, int, int], time: float) -> Tensor:
        """Draws one image's noise.

        Args:
            generator: Source of the random numbers.
            shape: (C, h, w).
            time: Timestep as a share of all, in [0, 1].

        Returns:
            (C, h, w) float32.
        """
        height, width = shape[1:]
        discount = self.discount * time if self.annealed else self.discount
        noise = torch.from_numpy(generator.standard_normal(shape, dtype="float32"))
        for level in range(self.levels):
            factor = generator.uniform(2, 4) ** level
            height, width = max(1, int(height / factor)), max(1, int(width / factor))
            coarse = torch.from_numpy(generator.standard_normal((1, shape[0], height, width), dtype="float32"))
            noise = noise + discount**level * functional.interpolate(coarse, shape[1:], mode="bilinear")[0]
            if height == 1 or width == 1:
                break
        return noise / noise.std()
