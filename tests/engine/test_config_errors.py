"""A wrong setting of a config is named by its place, whichever library finds it while the parts are built."""

import pytest

pytest.importorskip("mmengine")
from mmengine.config import Config
from mmengine.registry import Registry

from sos_mm.engine.config_errors import naming_settings

PARTS = Registry("part")


@PARTS.register_module()
class Leaf:
    def __init__(self, size=1):
        self.size = 2**size


@PARTS.register_module()
class Branch:
    """Hands what it does not know on, as many wrappers do."""

    def __init__(self, leaf, **more):
        self.leaf, self.other = PARTS.build(leaf), Leaf(**more)


TREE = dict(spare=dict(type="Leaf"), tree=dict(type="Branch", leaf=dict(type="Leaf", size=3)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tree.leaf.colour": 1}, r"sets `tree\.leaf\.colour`, but Leaf takes no `colour`: remove it"),
        ({"tree.colour": 1}, r"sets `tree\.colour`, but Leaf takes no `colour`"),
        # Not the first key of that name.
        ({"spare.colour": 1, "tree.leaf.colour": 1}, r"sets `tree\.leaf\.colour`"),
        ({"tree.leaf.type": "Leef"}, r"`tree\.leaf\.type` must be the name of a class .*'Leef': correct it, or import"),
        (
            {"tree.leaf.size": "3"},
            r"`tree\.leaf` of the config cannot be used: TypeError: unsupported .*SOS_MM_DEBUG=1",
        ),
        ({"tree.leaf": 5}, r"of the config cannot be used: TypeError: cfg should be a dict"),
    ],
)
def test_wrong_settings_are_named(options, said):
    config = Config(TREE)
    config.merge_from_dict(options)
    with pytest.raises(ValueError, match=said), naming_settings(config):
        PARTS.build(config.tree)


@pytest.mark.parametrize(
    ("convert", "value", "config", "said"),
    [
        (
            int,
            "many",
            dict(train_cfg=dict(max_epochs="many")),
            "^`train_cfg.max_epochs` must be a number, but got 'many'.$",
        ),
        (float, "fast", dict(steps=[dict(lr="fast")]), "^`steps.0.lr` must be a number, but got 'fast'.$"),
        # Which of two it is, or where it comes from, is not known.
        (int, "x", dict(a="x", b="x"), "^The config cannot be used: ValueError: invalid literal .* 'x'. Correct"),
        (int, "x", dict(a="y"), "^The config cannot be used: ValueError: invalid literal .* 'x'. Correct"),
    ],
)
def test_a_text_that_is_no_number_is_named_by_its_setting(convert, value, config, said):
    with pytest.raises(ValueError, match=said), naming_settings(Config(config)):
        convert(value)


def test_what_libraries_build_without_a_registry_is_found_by_its_key():
    config = Config(dict(loader=dict(batch=2, colour=1)))
    with pytest.raises(ValueError, match=r"sets `loader\.colour`, but Leaf takes no `colour`"), naming_settings(config):
        Leaf(**{key: value for key, value in config.loader.items() if key != "batch"})


@pytest.mark.parametrize("error", [ValueError("`x` must be 1."), FileNotFoundError("no"), RuntimeError("shape")])
def test_errors_that_are_clear_pass(error):
    with pytest.raises(type(error)) as caught, naming_settings(Config(TREE)):
        raise error
    assert caught.value is error


def test_a_right_config_is_built():
    config = Config(TREE)
    with naming_settings(config):
        assert PARTS.build(config.tree).leaf.size == 8
