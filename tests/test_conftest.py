"""What `conftest.py` sets for all tests."""

import sys
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import forget_instances


def test_examples_do_not_depend_on_what_is_imported(tmp_path, monkeypatch):
    """Earlier tests in the same process import what they need."""
    drawn = []

    @settings(derandomize=True)
    @given(st.integers(0, 2**32 - 1))
    def draw(number):
        drawn.append(number)

    draw()
    before = drawn.copy()
    drawn.clear()
    module = ModuleType("constants")
    module.__file__ = str(tmp_path / "constants.py")
    (tmp_path / "constants.py").write_text(f"NUMBERS = {list(range(10**6, 10**6 + 500))}\n")
    monkeypatch.setitem(sys.modules, "constants", module)
    draw()
    assert drawn == before


def test_instances_are_forgotten_of_derived_classes_too():
    """As a data set's own visualizer is."""
    visualization = pytest.importorskip("mmengine.visualization")

    class Derived(visualization.Visualizer):
        pass

    kept = [each.get_instance("forgotten") for each in (visualization.Visualizer, Derived)]
    forget_instances(sys.modules["mmengine.utils"].ManagerMixin)
    assert not any(type(each).check_instance_created("forgotten") for each in kept)
