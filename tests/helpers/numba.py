"""Runs code with and without numba's compiled loops."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest

from sos_mm import compiled

needs_numba = pytest.mark.skipif(compiled.numba_version() is None, reason="numba is not installed")


@contextmanager
def without_numba():
    """Runs its block as if numba were not installed."""
    compiled.loops.cache_clear()
    try:
        with patch.object(compiled, "numba_version", lambda: None):
            yield
    finally:
        compiled.loops.cache_clear()


def with_and_without(run):
    """Returns the results of a call with compiled loops, and without."""
    assert compiled.loops("sos_mm.composition.loops") is not None
    compiled_result = run()
    with without_numba():
        return compiled_result, run()
