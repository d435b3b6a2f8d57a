"""What `conftest.py` sets for all tests."""

import sys
from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st


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
