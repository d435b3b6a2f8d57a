"""Parity with the authors' released code: the optimiser, and the published form, which differs in the bugs alone.

The numbers come from their formulas (github.com/QuantumScriptHub/SOD-diffusion, commit 7960776), computed here by
numpy, by PIL and by diffusers' own U-Net, or by hand; nothing is computed by what is tested.
"""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from tests.saliency.conftest import CONFIGS
from tests.saliency.models.published import PUBLISHED, RELEASED, small_config, small_model


@pytest.mark.parametrize("kind", ["OptimWrapper", "AmpOptimWrapper"])
def test_gradients_of_the_unet_alone_are_clipped(kind, monkeypatch):
    config = small_config(RELEASED)
    assert config.optim_wrapper.clip_grad == dict(max_norm=1.0)
    config.optim_wrapper.update(type=kind)
    if kind == "AmpOptimWrapper":
        # It refuses to be built without a GPU, which clipping does not need.
        monkeypatch.setattr("mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available", lambda: True)
    model = small_model(RELEASED).train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    assert type(wrapper).__name__ == kind
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sum(len(group["params"]) for group in wrapper.param_groups) == len(list(model.parameters()))
    for parameter in trained.values():
        parameter.grad = torch.randn_like(parameter)
    before = {name: p.grad.clone() for name, p in trained.items()}
    wrapper._clip_grad()
    unet = {name for name in trained if name.startswith("decode_head.denoiser.unet.")}
    assert 0 < len(unet) < len(trained)
    norm = torch.sqrt(sum(before[name].square().sum() for name in unet))
    assert norm > 10
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, before[name] / norm if name in unet else before[name])
    # The norm that is logged is the U-Net's.
    assert wrapper.message_hub.get_scalar("train/grad_norm").current() == pytest.approx(float(norm), rel=1e-5)


def test_clipping_without_a_part_is_refused():
    config = small_config(RELEASED).optim_wrapper
    model = torch.nn.Linear(2, 2)
    with pytest.raises(AttributeError, match="decode_head"):
        build_optim_wrapper(model, config)
    with pytest.raises(ValueError, match="needs `clip_part` and `clip_grad`"):
        build_optim_wrapper(model, {**config, "clip_grad": None})
    del config.clip_part
    with pytest.raises(ValueError, match="needs `clip_part` and `clip_grad`"):
        build_optim_wrapper(model, config)


def test_schedule_of_training_is_theirs():
    for name in (RELEASED, PUBLISHED):
        config = Config.fromfile(CONFIGS / name)
        assert config.optim_wrapper.optimizer == dict(type="AdamW", lr=3e-5, weight_decay=1e-2)
        assert (config.param_scheduler, config.train_cfg.max_epochs) == ([], 500)
        assert config.train_dataloader.batch_size * 8 == config.auto_scale_lr.base_batch_size == 32
        assert (config.model.test_cfg.num_inference_steps, config.model.test_cfg.ensemble_size) == (10, 10)
        assert [hook.type for hook in config.custom_hooks] == ["VisitHook"]


def test_published_form_differs_in_the_bugs_alone():
    released, published = (Config.fromfile(CONFIGS / name) for name in (RELEASED, PUBLISHED))
    bugs = {
        "model.image_range",
        "model.backbone.normalize",
        "model.backbone.output_norm",
        "model.backbone.always_partition",
        "model.neck",
        "model.decode_head.unet.widen",
        *(f"model.decode_head.scheduler.{key}" for key in ("rescale_betas_zero_snr", "timestep_spacing")),
        *(f"model.decode_head.scheduler.{key}" for key in ("steps_offset", "set_alpha_to_one")),
        "schedule",
    }
    assert set(differences(released.to_dict(), published.to_dict())) == bugs


def differences(one: dict, other: dict, place: str = "") -> list[str]:
    """Where two configs differ; of parts of unlike types the part as a whole."""
    found = []
    for key in one.keys() | other.keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict) and a.get("type") == b.get("type"):
            found += differences(a, b, f"{place}{key}.")
        elif a != b:
            found.append(place + key)
    return found
