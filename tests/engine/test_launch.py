"""Overrides of configs: what is consumed while the config loads is refused, and what a user's own parts read is not."""

import json
import subprocess
import sys

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


READER = """
import json, sys
from mmengine.config import Config
from mmengine.registry import RUNNERS
from sos_mm.engine.launch import build_runner

@RUNNERS.register_module()
class ReadingRunner:
    @classmethod
    def from_cfg(cls, config):
        from {module} import {name}
        {name}("instances.json")
        return cls()

config = Config(dict(runner_type="ReadingRunner", default_scope={scope!r}))
ReadingRunner.from_cfg(config)
print("now by our own")
build_runner(config)
"""


@pytest.mark.parametrize(
    ("module", "name", "scope"),
    [("pycocotools.coco", "COCO", "mmseg"), ("mmdet.datasets.api_wrappers", "COCOPanoptic", "mmdet")],
)
def test_what_libraries_print_of_annotation_files_is_kept_off_the_terminal(tmp_path, module, name, scope):
    pytest.importorskip(scope, exc_type=ImportError)
    segment = dict(id=1, category_id=1, area=1, bbox=[0, 0, 1, 1], iscrowd=0)
    annotation = dict(id=1, image_id=1, category_id=1, file_name="1.png", segments_info=[segment])
    content = dict(images=[dict(id=1, file_name="1.jpg")], annotations=[annotation], categories=[dict(id=1, name="a")])
    (tmp_path / "instances.json").write_text(json.dumps(content))
    code = READER.format(module=module, name=name, scope=scope)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("now by our own")
    assert "index created!" in before
    assert after.strip() == ""


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
