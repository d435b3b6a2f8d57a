"""Objects built from dicts."""

from dataclasses import dataclass

import pytest

from sos_mm.registry import Registry

THINGS = Registry("thing.type", "key of {type}", {"list": lambda length: [0] * length}, {"list": ("length",)})


@THINGS.register
@dataclass
class Cup:
    size: int = 1


def test_types_are_built_by_name():
    assert THINGS.build({"type": "Cup", "size": 3}) == Cup(3)
    assert THINGS.build({"type": "list", "length": 2}) == [0, 0]
    assert dict(THINGS)["Cup"] is Cup
    assert THINGS.keys_of("Cup") == ("size",)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("Cup", "`thing` must be a dict with a `type`, but got 'Cup'."),
        ({}, "`thing.type` must be one of 'list', 'Cup', but got None."),
        ({"type": "Cub"}, "`thing.type` must be one of 'list', 'Cup', but got 'Cub'. Did you mean 'Cup'?"),
        ({"type": "Cup", "sise": 1}, "`key of Cup` must be one of 'size', but got 'sise'. Did you mean 'size'?"),
    ],
)
def test_unknown_words_are_told_with_the_nearest(config, said):
    with pytest.raises(ValueError) as caught:
        THINGS.build(config)
    assert str(caught.value) == said
