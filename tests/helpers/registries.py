"""Parts of configs that are made for the tests of one file."""

import pytest
from mmengine.registry import Registry


def registering(parts: list[tuple[Registry, type]]):
    """Returns an automatic fixture that registers parts, which other files then do not find.

    Args:
        parts: Registry and class of each.
    """

    @pytest.fixture(autouse=True)
    def registered():
        for registry, part in parts:
            registry.register_module(module=part)
        yield
        for registry, part in parts:
            del registry._module_dict[part.__name__]

    return registered
