"""What the variants of the model are made of, each against its definition."""

import math
import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from safetensors.torch import save_file
from torch.nn import functional

from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency import (
    CBAMFusion,
    LatentDenoiser,
    MaskDecoder,
    MultiModalPreprocessor,
    PlainCrossAttention,
    ReleasedFusion,
    SalientEncoder,
    StableDiffusionVAE,
    StructureLoss,
)
from sos_mm.saliency.evaluation.baselines import predictors
from sos_mm.saliency.models.noise import MultiResolutionNoise
from sos_mm.saliency.models.pretrained import load_pretrained
from sos_mm.seeding import Purpose, generator
from tests.saliency.conftest import UNET, VAE, small_config

ONE_STEP = {
    "model.decode_head.loss_diffusion": None,
    "model.decode_head.loss_pixel": dict(type="StructureLoss"),
    "model.test_cfg": dict(num_inference_steps=1, noise="zero"),
}


def samples(number: int) -> list[SegDataSample]:
    masks = torch.zeros(number, 1, 64, 64)
    masks[..., 16:40, 20:50] = 1
    return [
        SegDataSample(
            metainfo=dict(sample_idx=i, img_path=f"/data/{i}.jpg", ori_shape=(64, 64)),
            gt_saliency=PixelData(data=masks[i]),
        )
        for i in range(number)
    ]


@pytest.fixture
def build(data_root, tmp_path):
    def built(**options) -> torch.nn.Module:
        torch.manual_seed(0)
        model = MODELS.build(small_config(data_root, tmp_path, **options).model)
        model.draws = RunRandomness(0)
        return model

    return built


def test_structure_loss_is_its_formula():
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 1, 9, 9), (torch.rand(2, 1, 9, 9) > 0.5).float()
    total = 0
    for z, y in zip(logits[:, 0].tolist(), mask[:, 0].tolist(), strict=True):
        weights, crossed, both, either = 0, 0, 0, 0
        for i in range(9):
            for j in range(9):
                around = [
                    y[a][b] for a in range(max(0, i - 1), min(9, i + 2)) for b in range(max(0, j - 1), min(9, j + 2))
                ]
                w = 1 + 5 * abs(sum(around) / len(around) - y[i][j])
                p = 1 / (1 + math.exp(-z[i][j]))
                weights += w
                crossed -= w * (y[i][j] * math.log(p) + (1 - y[i][j]) * math.log(1 - p))
                both += w * p * y[i][j]
                either += w * (p + y[i][j] - p * y[i][j])
        total += crossed / weights + 1 - (both + 1) / (either + 1)
    torch.testing.assert_close(2 * StructureLoss(kernel=3, loss_weight=2)(logits, mask), torch.tensor(2 * total))
    assert StructureLoss()(20 * (2 * mask - 1), mask) < 1e-3
    with pytest.raises(ValueError, match="odd"):
        StructureLoss(kernel=4)


def test_one_step_trains_what_it_predicts_and_learns(build):
    model = build(**ONE_STEP).train()
    images, data = torch.rand(2, 3, 64, 64), samples(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(12):
        losses = model.loss(images, data)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append(float(losses["loss_pixel"]))
    assert history[-1] < 0.6 * history[0]
    with torch.no_grad():
        model.eval()
        predicted = model.predict(images, data)[0].pred_saliency.data
        again = model.predict(images, data)[0].pred_saliency.data
        logits = model.mask_logits(model.decode_head.one_step(*model.encode_conditions(images)))
    # The loss reads the same decoded mask as the prediction, whose [0, 1] are logits of -4 and 4.
    torch.testing.assert_close((logits[0] / 8 + 0.5).clamp(0, 1), predicted)
    assert torch.equal(predicted, again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model.decode_head.loss_pixel": dict(type="StructureLoss")}, "one of `loss_diffusion` and `loss_pixel`"),
        ({"model.decode_head.loss_diffusion": None}, "one of `loss_diffusion` and `loss_pixel`"),
        (ONE_STEP | {"model.decode_head.scheduler.timestep_spacing": "leading"}, "trailing"),
        (ONE_STEP | {"model.decode_head.scheduler.rescale_betas_zero_snr": False}, "zero_snr=True"),
        ({"model.mask_decoder": dict(type="MaskDecoder")}, "nothing would train it"),
        ({"model.train_cfg": dict(nois=None)}, "Did you mean 'noise'"),
    ],
)
def test_contradictions_are_refused(build, options, words):
    with pytest.raises(ValueError, match=words):
        build(**options)


def test_branch_alone_fills_the_same_fields(build):
    from mmengine.config import ConfigDict

    whole = build()
    head = dict(
        type="SalientBranchHead",
        decoder=dict(type="MaskDecoder", in_channels=32, guided=True),
        loss_pixel=dict(type="StructureLoss"),
        _delete_=True,
    )
    branch = build(**{"model.type": "SalientBranchSegmentor", "model.codec": None, "model.neck.levels": 1} | {
        "model.decode_head": ConfigDict(head)
    }).train()  # fmt: skip
    images, data = torch.rand(2, 3, 64, 64), samples(2)
    assert set(branch.loss(images, data)) == {"loss_pixel"}
    with torch.no_grad():
        ours, theirs = (model.eval().predict(images, samples(2))[0] for model in (branch, whole))
    assert list(predictors(branch)) == ["centre prior", "branch alone"]
    assert ours.keys() == theirs.keys()
    assert ours.pred_saliency.data.shape == theirs.pred_saliency.data.shape


def test_decoder_doubles_and_is_guided_by_the_image():
    decoder = MaskDecoder(4, channels=(8, 8, 8), guided=True)
    features = torch.zeros(1, 4, 8, 8)
    black, white = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    white[..., :32] = 0
    assert decoder(features, black).shape == (1, 1, 64, 64)
    assert not torch.allclose(decoder(features, black), decoder(features, white), atol=1e-4)


def test_fusion_without_attention_joins_the_stages_as_they_are():
    torch.manual_seed(0)
    plain = CBAMFusion((8, 16), 16, levels=1, attention=False)
    stages = [torch.rand(1, 8, 8, 8), torch.rand(1, 16, 4, 4)]
    reduced = [reduce(stage) for reduce, stage in zip(plain.reduce, stages, strict=True)]
    joined = torch.cat([reduced[0], functional.interpolate(reduced[1], (8, 8), mode="bilinear")], 1)
    torch.testing.assert_close(plain(stages).f, plain.fuse(joined))


def test_released_context_is_f_repeated_to_the_width_of_text():
    module = PlainCrossAttention(64, 1024, levels=4, tile=True)
    f = torch.rand(2, 64, 48, 48)
    (context,) = module((f,)).maps
    # As the authors have it: (B, C, h w), repeated 16 times along the channels, then tokens first.
    tokens = f.reshape(2, 64, -1).repeat(1, 16, 1).permute(0, 2, 1)
    assert torch.equal(context.flatten(2).transpose(1, 2), tokens)
    assert tokens.shape == (2, 2304, 1024)
    assert not list(module.parameters())
    with pytest.raises(ValueError, match="64 divides"):
        PlainCrossAttention(64, 1000, levels=4, tile=True)


def test_axial_attention_lets_columns_see_each_other():
    torch.manual_seed(0)
    layer = ReleasedFusion((8, 8, 8), 8).attend[0].eval()
    torch.nn.init.ones_(layer.gamma)
    x = torch.rand(1, 8, 4, 4)
    query, key, value = (part(x)[0] for part in (layer.query, layer.key, layer.value))
    scores = torch.einsum("chi,chj->ij", query, key).softmax(1)
    torch.testing.assert_close(layer(x)[0], x[0] + torch.einsum("ij,chj->chi", scores, value))


def test_encoder_of_the_released_code_takes_images_as_they_are():
    options = dict(embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=2, img_size=64)
    encoder = SalientEncoder("swin_tiny_patch4_window7_224", normalize=False, output_norm=True, **options).eval()
    image = torch.rand(1, 3, 64, 64)
    for ours, theirs in zip(encoder(image), encoder.timm_model(image), strict=True):
        torch.testing.assert_close(ours, functional.layer_norm(theirs, theirs.shape[-1:]).permute(0, 3, 1, 2))


def test_coarse_noise_is_of_unit_variance_and_white_where_it_is_little():
    draws = MultiResolutionNoise(levels=6, discount=0.9)
    shape = (4, 48, 48)

    def smoothness(noise: torch.Tensor) -> float:
        return float(functional.avg_pool2d(noise, 8).std() * 8)

    rows = {
        t: torch.stack([draws(generator(0, Purpose.TRAINING_NOISE, i), shape, t) for i in range(8)]) for t in (0, 1)
    }
    for noise in rows.values():
        torch.testing.assert_close(noise.std((1, 2, 3)), torch.ones(8))
    assert smoothness(rows[0]) == pytest.approx(1, abs=0.1)
    assert smoothness(rows[1]) > 2
    again = draws(generator(0, Purpose.TRAINING_NOISE, 3), shape, 1)
    assert torch.equal(again, rows[1][3])
    fixed = MultiResolutionNoise(levels=6, discount=0.9, annealed=False)
    assert torch.equal(fixed(generator(0, Purpose.TRAINING_NOISE, 3), shape, 0), again)
    with pytest.raises(ValueError, match="discount"):
        MultiResolutionNoise(discount=2)


def test_training_takes_the_noise_of_its_config(build):
    model = build(**{"model.train_cfg": dict(_delete_=True, noise=dict(levels=3, discount=0.5))})
    noise = model.training_noise([0, 1], torch.zeros(2, 192, 8, 8), [0.25, 1.0])
    expected = MultiResolutionNoise(3, 0.5)(generator(0, Purpose.TRAINING_NOISE, 1), (192, 8, 8), 1.0)
    assert torch.equal(noise[1], expected)


def test_pruned_unet_keeps_its_layers_and_their_weights(tmp_path):
    torch.manual_seed(0)
    # In each block the second of two layers (upwards the second of three) is left out.
    original = UNet2DConditionModel(**UNET | {"layers_per_block": 2, "down_block_types": ["CrossAttnDownBlock2D"] * 2})
    original.save_pretrained(tmp_path / "unet")
    pruned = LatentDenoiser(str(tmp_path), layers_per_block=1, middle=False).unet
    before, after = original.state_dict(), pruned.state_dict()
    assert pruned.mid_block is None
    assert not any(name.startswith("mid_block") for name in after)
    moved = [name for name in after if name.startswith("up_blocks") and ".resnets.1." in name]
    assert moved

    def origin(name: str) -> str:
        last = re.sub(r"(resnets|attentions)\.1\.", r"\1.2.", name)
        return last if name.startswith("up_blocks") else name

    assert all(torch.equal(value, before[origin(name)]) for name, value in after.items() if name != "conv_in.weight")
    assert sum(v.numel() for v in after.values()) < 0.7 * sum(v.numel() for v in before.values())
    image = torch.rand(1, 8, 8, 8)
    assert pruned(image, 3, torch.rand(1, 5, 32)).sample.shape == (1, 4, 8, 8)
    with pytest.raises(ValueError, match="must be 1 to the base model's 2, but got 3"):
        LatentDenoiser(str(tmp_path), layers_per_block=3)


def test_input_is_widened_over_three_latents_or_drawn_anew(base_model):
    original = UNet2DConditionModel.from_pretrained(base_model, subfolder="unet")
    latent = torch.rand(1, 4, 8, 8)
    three = LatentDenoiser(base_model, image_latents=2).unet
    torch.testing.assert_close(three.conv_in(latent.repeat(1, 3, 1, 1)), original.conv_in(latent))
    fresh = LatentDenoiser(base_model, widen="random").unet
    assert not torch.allclose(fresh.conv_in(latent.repeat(1, 2, 1, 1)), original.conv_in(latent), atol=1e-2)


def test_second_image_reaches_the_prediction_both_ways(build):
    options = {"model.modalities": 2, "model.decode_head.unet.image_latents": 2}
    options["model.decode_head.unet.architecture.in_channels"] = 576
    model = build(**options).eval()
    images = torch.rand(1, 6, 64, 64)
    other = torch.cat([images[:, :3], torch.rand(1, 3, 64, 64)], 1)
    with torch.no_grad():
        assert model.encode_conditions(images).image_latent.shape == (1, 384, 8, 8)
        assert not torch.allclose(model.extract_feat(images).f, model.extract_feat(other).f, atol=1e-4)
        assert not torch.allclose(model.encode_decode(images, samples(1)), model.encode_decode(other, samples(1)))
    with pytest.raises(ValueError, match=r"2 image.*got 3 channels"):
        model.predict(images[:, :3])


def test_preprocessor_turns_each_image_to_rgb():
    image = torch.arange(6, dtype=torch.uint8).view(6, 1, 1).expand(6, 2, 2)
    done = MultiModalPreprocessor()(dict(inputs=[image], data_samples=[SegDataSample()]))
    assert (done["inputs"][0, :, 0, 0] * 255).round().tolist() == [2, 1, 0, 5, 4, 3]
    with pytest.raises(ValueError, match="6x2x1, 6x2x2"):
        MultiModalPreprocessor()(dict(inputs=[image, image[..., :1]]))


def test_student_learns_from_the_teachers_map(build, data_root, tmp_path):
    teacher = build(**ONE_STEP)
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / "teacher.pth")
    config = small_config(data_root, tmp_path, **ONE_STEP).model
    options = ONE_STEP | {
        "model.type": "DistilledSegmentor",
        "model.mask_decoder": dict(type="MaskDecoder"),
        "model.teacher": dict(config=config, checkpoint=str(tmp_path / "teacher.pth")),
        "model.loss_distill": dict(type="StructureLoss"),
    }
    student = build(**options)
    images, data = torch.rand(2, 3, 64, 64), samples(2)
    losses = student.loss(images, data)
    with torch.no_grad():
        taught = teacher.eval().encode_decode(images, data)[0]
        logits = student.mask_logits(student.decode_head.one_step(*student.encode_conditions(images)))
    torch.testing.assert_close(losses["loss_distill"].detach(), StructureLoss()(logits, taught))
    # It is no part of the student, nor of its checkpoint.
    assert not any("teacher" in name for name in student.state_dict())
    assert sum(p.numel() for p in student.parameters()) < 1.1 * sum(p.numel() for p in teacher.parameters())
    options["model.neck.out_channels"] = options["model.decode_head.in_channels"] = 16
    config.neck.out_channels = config.decode_head.in_channels = 16
    options["model.teacher"] = dict(config=config, checkpoint=str(tmp_path / "teacher.pth"))
    with pytest.raises(RuntimeError, match=r"neck\.fuse"):
        build(**options).loss(images, data)


def test_loss_that_is_not_finite_names_the_files(build):
    model = build()
    with torch.no_grad():
        model.decode_head.auxiliary.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"loss_aux nan on /data/0\.jpg, /data/1\.jpg"):
        model.loss(torch.rand(2, 3, 64, 64), samples(2))


@pytest.mark.parametrize("missing", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_incomplete_base_model_names_the_file(base_model, tmp_path, missing):
    (tmp_path / "unet").mkdir()
    for path in Path(base_model, "unet").iterdir():
        if path.name != missing:
            (tmp_path / "unet" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(FileNotFoundError, match=rf"(?s){missing}.*hf download"):
        LatentDenoiser(str(tmp_path))


def ldm_name(name: str) -> str:
    """The name of a U-Net's parameter in Stability's files, of one with two levels of one layer each."""
    places = {
        "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2", "conv_norm_out": "out.0", "conv_out": "out.2",
        "down_blocks.0.resnets.0": "input_blocks.1.0", "down_blocks.0.attentions.0": "input_blocks.1.1",
        "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op", "down_blocks.1.resnets.0": "input_blocks.3.0",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2", "up_blocks.0.resnets.0": "output_blocks.0.0",
        "up_blocks.0.resnets.1": "output_blocks.1.0", "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
        "up_blocks.1.resnets.0": "output_blocks.2.0", "up_blocks.1.attentions.0": "output_blocks.2.1",
        "up_blocks.1.resnets.1": "output_blocks.3.0", "up_blocks.1.attentions.1": "output_blocks.3.1",
    }  # fmt: skip
    parts = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
        "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    place = max((p for p in places if name.startswith(f"{p}.")), key=len)
    rest = name[len(place) + 1 :]
    first = rest.split(".")[0]
    if ".resnets." in place:
        rest = parts[first] + rest[len(first) :]
    return f"model.diffusion_model.{places[place]}.{rest}"


def ldm_vae_name(name: str) -> str:
    """The name of a VAE's parameter in Stability's files, of one with four levels."""
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    parts = {
        "mid_block.attentions.0": "mid.attn_1", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
        "to_out.0": "proj_out", "conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut",
    }  # fmt: skip
    for before, after in parts.items():
        name = name.replace(before, after)
    return f"first_stage_model.{name}"


def test_vae_in_a_single_file_is_read(base_model, tmp_path):
    original = AutoencoderKL.from_pretrained(base_model, subfolder="vae").state_dict()
    # There its attention's products are convolutions of one pixel.
    weights = {
        ldm_vae_name(name): value[..., None, None] if ".to_" in name and value.ndim == 2 else value.clone()
        for name, value in original.items()
    }
    path = tmp_path / "model.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    loaded = StableDiffusionVAE(str(path), VAE).vae.state_dict()
    assert loaded.keys() == original.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in original.items())


def test_single_file_of_stability_is_read(base_model, tmp_path):
    original = UNet2DConditionModel.from_pretrained(base_model, subfolder="unet")
    weights = {ldm_name(name): value.clone() for name, value in original.state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    loaded = load_pretrained(UNet2DConditionModel, str(path), "unet", UNET)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in original.state_dict().items())
    with pytest.raises(ValueError, match=r"not of the `unet` architecture.*but is"):
        load_pretrained(UNet2DConditionModel, str(path), "unet", UNET | {"cross_attention_dim": 16})
