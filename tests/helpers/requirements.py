"""Marks of tests that need more than the oldest versions that the package supports."""

import pytest

torch = pytest.importorskip("torch")

needs_flux = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 5), reason="diffusers runs FLUX on torch 2.5 or newer"
)
