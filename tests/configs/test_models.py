"""Every config loads; every model builds at full size without memory; its shrunk form makes a step."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.engine.randomness import RunRandomness

CONFIGS = Path(__file__).parents[2] / "configs"
# These inherit mmdet's, which may be missing: test_detection.py has them.
OVER_MMDET = ("_base_/mmdet", "detection", "grounding", "segmentation")
ALL = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.py"))
ALL = [name for name in ALL if not name.startswith(OVER_MMDET)]
SALIENCY = sorted(
    path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("sod_*.py") if "_base_" not in path.parts
)
SHORT = [name for name in SALIENCY if not name.endswith("/sod_diffusion_tiny.py")]


def saliency_model(name: str) -> Config:
    """The model of a config, without pretrained weights."""
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    leave_out_pretrained(config.model)
    return config.model


def shrink(model: Config) -> Config:
    """Makes a model small, leaving in place what makes it that variant."""
    backbone = model.backbone
    if backbone is None:
        pass
    elif backbone.model_name.startswith("swin"):
        backbone.update(model_name="swin_tiny_patch4_window7_224", img_size=64, embed_dim=16, depths=(1, 1, 1, 1))
        backbone.update(num_heads=(1, 1, 2, 2), window_size=2)
    else:
        backbone.update(model_name="resnet10t")
    if "unet" in model.decode_head:
        unet = model.decode_head.unet.architecture
        levels = len(unet.block_out_channels)
        unet.update(block_out_channels=[16] * levels, norm_num_groups=4, attention_head_dim=[2] * levels)
        unet.update(cross_attention_dim=64)
    if "architecture" in (model.get("codec") or {}):
        model.codec.architecture.update(block_out_channels=[8] * 4, norm_num_groups=4)
    return model


def with_teacher(model: Config, folder: Path) -> Config:
    """Gives a distilled model a shrunk teacher with random weights."""
    if "teacher" in model:
        teacher = shrink(saliency_model(model.teacher.config))
        torch.save(dict(state_dict=MODELS.build(teacher).state_dict()), folder / "teacher.pth")
        model.teacher = dict(config=teacher, checkpoint=str(folder / "teacher.pth"))
    return model


# What a config of a folder, or one file, is there for.
SETS = {
    "_base_": "default_scope",
    "_base_/segments.py": "cutter",
    "_base_/cut_out.py": "cutter",
    "segments/subjects200k.py": "pairs",
    "segments": "model",
    "_base_/datasets": "train_dataloader",
    "_base_/models": "model",
    "_base_/schedules": "optim_wrapper",
    "sod_diffusion": "model",
    ".": "model",
    "synthesis": "layout",
    "synthesis/ablations": "layout",
    "synthesis/ablations_lvis": "layout",
}


@pytest.mark.parametrize("name", ALL)
def test_config_loads(name):
    assert SETS.get(name, SETS.get(str(Path(name).parent))) in Config.fromfile(CONFIGS / name)


@pytest.mark.parametrize("name", SHORT)
def test_variants_are_short_files_that_inherit(name):
    assert len((CONFIGS / name).read_text().splitlines()) <= 15


@pytest.mark.parametrize("name", SALIENCY)
def test_full_size_is_built(name):
    with torch.device("meta"):
        model = MODELS.build(saliency_model(name))
    assert sum(p.numel() for p in model.parameters()) > 1e6


def test_full_size_is_that_of_the_paper():
    with torch.device("meta"):
        model = MODELS.build(saliency_model("sod_diffusion_swinb.py"))
    unet = model.decode_head.denoiser.unet
    # 866 million parameters of Stable Diffusion 2's U-Net, with four more input channels.
    scales = sum(p.numel() for name, p in unet.named_parameters() if "position_scale" in name)
    assert sum(p.numel() for p in unet.parameters()) - scales == 865_910_724 + 4 * 320 * 9
    assert sum(p.numel() for p in model.codec.parameters()) == 83_653_863
    assert model.backbone.out_channels == (256, 512, 1024)


def test_base_models_are_those_that_their_names_say():
    sizes = {}
    for base in ("sd15", "turbo"):
        with torch.device("meta"):
            model = MODELS.build(saliency_model(f"sod_diffusion/sod_diffusion_swinb_{base}.py"))
        unet = model.decode_head.denoiser.unet
        sizes[base] = sum(p.numel() for name, p in unet.named_parameters() if "position_scale" not in name)
    assert sizes == {"sd15": 859_520_964 + 4 * 320 * 9, "turbo": 865_910_724 + 4 * 320 * 9}


@pytest.mark.parametrize("name", SALIENCY)
def test_shrunk_model_makes_a_step(name, tmp_path):
    model = MODELS.build(with_teacher(shrink(saliency_model(name)), tmp_path)).train()
    model.draws = RunRandomness(0)
    sample = SegDataSample(
        metainfo=dict(sample_idx=0, ori_shape=(64, 64)), gt_saliency=PixelData(data=torch.ones(1, 64, 64))
    )
    # Two images, since in training batch normalisation needs more than one value.
    inputs = torch.rand(2, 3 * model.modalities, 64, 64)
    losses = model.loss(inputs, [sample, sample])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    sum(losses.values()).backward()
    # The last block's context reaches the output only through what it adds; every trained part has a gradient.
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    optimizer.step()
    model.eval().test_cfg.update(num_inference_steps=min(2, model.test_cfg["num_inference_steps"]), ensemble_size=1)
    with torch.no_grad():
        predicted = model.predict(inputs[:1])[0].pred_saliency.data
    assert predicted.shape == (1, 64, 64)
    assert predicted.isfinite().all()
