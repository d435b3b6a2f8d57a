"""Overrides of configs: what is consumed while the config loads is refused, and what a user's own parts read is not."""

import pytest

pytest.importorskip("mmengine")
from mmengine.config import Config

from sos_mm.engine.launch import check_override, named_as_in, settings_made_of

TEXT = """
max_epochs = 7
root = "data/here/"
pipeline = [dict(type="Load"), dict(type="Pack")]
size = 7
my_report = dict(folder="out", top=3)
model = dict(type="Net", depth=7)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
train_dataloader = dict(dataset=dict(data_root=root, pipeline=pipeline))
custom_hooks = [dict(type="Report", root=root)]
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.py").write_text(TEXT)
    return Config.fromfile(tmp_path / "config.py")


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("max_epochs", "Override `train_cfg.max_epochs` instead"),
        ("root", "Override `custom_hooks.0.root` instead"),
        ("pipeline.0.type", "Override `train_dataloader.dataset.pipeline` instead"),
        ("train_dataloder.batch_size", "Did you mean 'train_dataloader'"),
        ("my_reprt.top", "Did you mean 'my_report'"),
    ],
)
def test_overrides_without_effect_are_refused(config, key, match):
    with pytest.raises(ValueError, match=match):
        check_override(config, key)


@pytest.mark.parametrize(
    "key",
    ["train_cfg.max_epochs", "my_report.top", "train_dataloader.batch_size", "my_own_setting", "size", "env_cfg.x"],
)
def test_other_overrides_are_taken(config, key):
    check_override(config, key)


def test_the_runners_settings_are_found(config):
    assert settings_made_of(config, "max_epochs") == ["train_cfg.max_epochs"]
    assert settings_made_of(config, "pipeline") == ["train_dataloader.dataset.pipeline"]
    # Other sevens are no copies of it.
    assert settings_made_of(config, "size") == []


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        (dict(num_inference_steps=4), {"model.test_cfg.steps": 2}, {"model.test_cfg.num_inference_steps": 2}),
        (dict(steps=4), {"model.test_cfg.num_inference_steps": 2}, {"model.test_cfg.steps": 2}),
        (dict(ensemble_size=4), {"model.test_cfg.ensemble_size": 2}, {"model.test_cfg.ensemble_size": 2}),
        # A model that knows nothing of these names.
        (dict(rcnn=1), {"model.test_cfg.steps": 2}, {"model.test_cfg.steps": 2}),
        (None, {"model.test_cfg.steps": 2}, {"model.test_cfg.steps": 2}),
    ],
)
def test_overrides_take_the_names_that_the_config_has(settings, options, expected):
    assert named_as_in(Config(dict(model=dict(test_cfg=settings))), options) == expected


def test_an_override_under_both_names_is_refused():
    config = Config(dict(model=dict(test_cfg=dict(ensemble_size=1))))
    with pytest.raises(ValueError, match="two names of one setting"):
        named_as_in(config, {"model.test_cfg.ensemble": 2, "model.test_cfg.ensemble_size": 2})
