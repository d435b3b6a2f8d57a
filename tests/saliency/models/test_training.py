"""Training through a real Runner: repeatable, resumable, one checkpoint, saved images."""

import json
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional

from sos_mm.engine.hooks import MatchingCheckpointHook
from sos_mm.engine.randomness import RunRandomness
from sos_mm.seeding import Purpose, generator
from tests.saliency.conftest import CONFIGS, small_config

RUNS = count()


def losses(runner: Runner) -> list[float]:
    return [record["loss"] for record in records(runner) if "loss" in record]


def records(runner: Runner) -> list[dict]:
    return [json.loads(line) for line in Path(runner.log_dir, "vis_data/scalars.json").read_text().splitlines()]


@pytest.fixture
def train(data_root, tmp_path):
    """Trains the small model in a folder of its own; gives the runner."""

    def run(name: str, hooks: tuple = (), **options) -> Runner:
        config = small_config(data_root, tmp_path / name, **options)
        config.experiment_name = f"{name}-{next(RUNS)}"  # mmengine keeps one logger a name.
        runner = Runner.from_cfg(config)
        for hook in hooks:
            runner.register_hook(hook)
        with suppress(CrashError):
            runner.train()
        return runner

    return run


def test_same_seed_same_losses_and_another_seed_others(train):
    first, second = train("first"), train("second")
    assert losses(first) == losses(second)
    assert len(losses(first)) == 3
    assert losses(first) != losses(train("third", **{"randomness.seed": 1}))


def test_number_of_workers_changes_nothing(train):
    workers = {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}
    epochs = {"train_cfg.max_epochs": 2}
    assert losses(train("none", **epochs)) == losses(train("two", **epochs, **workers))


class CrashError(Exception):
    pass


class InterruptHook(Hook):
    """Ends a run as a crash would, when its third epoch begins."""

    def before_train_epoch(self, runner):
        if runner.epoch == 2:
            raise CrashError


def test_resumed_training_is_the_uninterrupted_one(train):
    epochs = {"train_cfg.max_epochs": 4}
    whole = train("whole", **epochs)
    first = train("first", hooks=[InterruptHook()], **epochs)
    # In a folder of its own: mmengine names logs after the second in which a run starts.
    rest = train("rest", resume=True, load_from=f"{first.work_dir}/epoch_2.pth", **epochs)
    assert (len(losses(first)), len(losses(rest))) == (6, 6)
    torch.testing.assert_close(losses(first) + losses(rest), losses(whole), atol=1e-5, rtol=0)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], value, atol=1e-5, rtol=0)


def test_another_architecture_is_no_start(build):
    """What mmengine would only warn of: resuming with parts that differ, or starting with none that fit."""
    narrow = build(**{"model.neck.out_channels": 16, "model.decode_head.in_channels": 16}).state_dict()
    runner = SimpleNamespace(model=build(), _resume=True)
    hook = MatchingCheckpointHook()
    training = {"meta": {"epoch": 1, "iter": 1}, "message_hub": {"runtime_info": {}}}
    words = r"architecture: 20 of 404 parts differ: decode_head.*must be \(64, 32.*, but is \(64, 16"
    with pytest.raises(RuntimeError, match=words):
        hook.after_load_checkpoint(runner, dict(training, state_dict=narrow))
    hook.after_load_checkpoint(runner, dict(training, state_dict=runner.model.state_dict()))
    with pytest.raises(ValueError, match="no state of a training to resume"):
        hook.after_load_checkpoint(runner, dict(state_dict=narrow))
    runner._resume = False
    # Some parts are a start.
    hook.after_load_checkpoint(runner, dict(state_dict=narrow))
    with pytest.raises(RuntimeError, match="parts differ"):
        hook.after_load_checkpoint(runner, {"somewhere": torch.ones(1)})


def test_checkpoint_holds_every_part(train):
    runner = train("run")
    checkpoint = torch.load(f"{runner.work_dir}/epoch_1.pth", map_location="cpu", weights_only=False)
    parts = {name.split(".")[0] for name in checkpoint["state_dict"]}
    assert {"backbone", "neck", "decode_head"} <= parts
    trained = {name for name, parameter in runner.model.named_parameters() if parameter.requires_grad}
    assert trained <= set(checkpoint["state_dict"])
    heads = {name.split(".")[1] for name in checkpoint["state_dict"] if name.startswith("decode_head")}
    assert {"denoiser", "afim", "auxiliary"} <= heads


def test_validation_leaves_scores_and_rows(train):
    runner = train("run", **{"train_cfg.val_interval": 1})
    scores = [record for record in records(runner) if "sod/MAE" in record]
    assert len(scores) == 1
    assert 0 < scores[0]["sod/MAE"] < 1
    rows = sorted(path.name for path in Path(runner.log_dir, "rows").iterdir())
    assert rows == [f"{index}.png" for index in range(6)]


def test_visit_hook_refuses_loops_that_count_iterations(train):
    loop = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    with pytest.raises(RuntimeError, match="by_epoch=True"):
        train("run", train_cfg=dict(loop, _delete_=True))


def batch(number: int = 2) -> tuple[torch.Tensor, list[SegDataSample]]:
    torch.manual_seed(1)
    data = [
        SegDataSample(
            metainfo=dict(sample_idx=i, img_path=f"/data/{i}.jpg", ori_shape=(64, 64)),
            gt_saliency=PixelData(data=(torch.rand(1, 64, 64) > 0.5).float()),
        )
        for i in range(number)
    ]
    return torch.rand(number, 3, 64, 64), data


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Those of one training step."""
    model.zero_grad()
    sum(model.loss(*batch()).values()).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture
def build(data_root, tmp_path):
    def built(**options) -> torch.nn.Module:
        torch.manual_seed(0)
        model = MODELS.build(small_config(data_root, tmp_path, **options).model)
        model.draws = RunRandomness(0)
        return model.train()

    return built


def test_gradients_are_those_of_a_step_written_by_hand(build):
    model = build()
    ours = gradients(model)
    inputs, data = batch()
    model.zero_grad()
    head, unet = model.decode_head, model.decode_head.denoiser.unet
    noise = torch.stack(
        [
            torch.from_numpy(generator(0, Purpose.TRAINING_NOISE, i).standard_normal((192, 8, 8), dtype="float32"))
            for i in range(2)
        ]
    )
    steps = torch.tensor([generator(0, Purpose.TRAINING_TIMESTEP, i).integers(1000) for i in range(2)])
    mask = torch.stack([sample.gt_saliency.data for sample in data]).repeat(1, 3, 1, 1) * 2 - 1
    clean = functional.pixel_unshuffle(mask, 8)
    signal = head.scheduler.alphas_cumprod[steps].view(-1, 1, 1, 1)
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    features = model.neck(model.backbone(inputs))
    stacked = torch.cat([functional.pixel_unshuffle(inputs * 2 - 1, 8), noisy], 1)
    predicted = unet(stacked, steps, encoder_hidden_states=head.afim(features.pyramid)).sample
    loss = ((predicted - signal.sqrt() * noise + (1 - signal).sqrt() * clean) ** 2).mean()
    loss = loss + ((head.auxiliary(features.f) - functional.avg_pool2d(mask, 8)) ** 2).mean()
    loss.backward()
    assert len(ours) == sum(1 for _ in model.parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {"model.decode_head.unet.checkpoint": True, "model.backbone.checkpoint": True},
        {"model.decode_head.unet.compile": dict(backend="eager")},
    ],
    ids=["checkpointing", "compile"],
)
def test_memory_and_speed_options_change_no_gradient(build, options):
    plain, other = gradients(build()), gradients(build(**options))
    assert plain.keys() == other.keys()
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-4, msg=name)


def test_attention_is_torchs_fused_one(build, monkeypatch):
    calls = []
    fused = functional.scaled_dot_product_attention

    def counted(*args, **kwargs):
        calls.append(args[0].shape)
        return fused(*args, **kwargs)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    model = build()
    layers = [m for m in model.decode_head.denoiser.modules() if hasattr(m, "attn2")]
    model.loss(*batch())
    # Self- and cross-attention of each layer, and Swin's blocks.
    assert len(calls) >= 2 * len(layers)


def test_losses_in_bf16_are_near_those_in_32_bits(build):
    model = build()
    plain = model.loss(*batch())
    # oneDNN's own bf16 products end the process on CPUs that claim instructions their host does not grant.
    with torch.backends.mkldnn.flags(enabled=False), torch.autocast("cpu", torch.bfloat16):
        mixed = model.loss(*batch())
    for name, value in plain.items():
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], value, rtol=0.05, atol=0.01)


def test_accumulated_steps_are_one_step_of_a_larger_batch(train):
    def trained(name: str, rate: float = 0.1, accumulated: int = 1, **options) -> torch.Tensor:
        optimizer = dict(type="SGD", lr=rate, weight_decay=0.0, _delete_=True)
        wrapper = dict(optimizer=optimizer, accumulative_counts=accumulated)
        model = train(name, optim_wrapper=wrapper, param_scheduler=None, **options).model
        return torch.nn.utils.parameters_to_vector(model.parameters())

    before = trained("before", rate=0.0)
    whole = trained("whole", **{"train_dataloader.batch_size": 6}) - before
    parts = trained("parts", accumulated=3) - before
    assert whole.norm() > 0.05
    assert (whole - parts).norm() < 0.01 * whole.norm()


def test_learning_rate_decays_to_a_hundredth_at_the_end(train):
    decay = Config.fromfile(CONFIGS / "_base_/schedules/sod_diffusion.py").param_scheduler[1]
    assert decay.gamma**90 == pytest.approx(0.01)
    runner = train("run", param_scheduler=[{**decay, "gamma": 0.01 ** (1 / 3)}], **{"train_cfg.max_epochs": 3})
    rates = [record["lr"] for record in records(runner) if "loss" in record]
    expected = [1e-3 * 0.01 ** (epoch / 3) for epoch in range(3) for _ in range(3)]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_weights_are_averaged_and_the_average_is_saved(train):
    hooks = [dict(type="VisitHook"), dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.5)]
    seen = []

    class Watch(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seen.append(runner.model.decode_head.auxiliary.bias.detach().clone())

    runner = train("run", hooks=[Watch()], custom_hooks=hooks)
    seen.append(runner.model.decode_head.auxiliary.bias.detach())
    # The first average is the weights after the first step.
    average = seen[1]
    for weights in seen[2:]:
        average = average.lerp(weights, 0.5)
    checkpoint = torch.load(f"{runner.work_dir}/epoch_1.pth", weights_only=False)
    torch.testing.assert_close(checkpoint["state_dict"]["decode_head.auxiliary.bias"], average)
    assert not torch.allclose(average, seen[-1])


def cached(folder: Path, **more) -> dict:
    return {"custom_hooks": [dict(type="VisitHook"), dict(type="LatentCacheHook", folder=str(folder), **more)]}


def test_cached_latents_train_like_those_made_anew(train, tmp_path):
    epochs = {"train_cfg.max_epochs": 2}
    plain = train("plain", **epochs)
    runner = train("cached", **epochs, **cached(tmp_path / "latents", batch_size=4))
    # Half precision of the latents is all that differs.
    np.testing.assert_allclose(losses(runner), losses(plain), rtol=2e-3)
    image = np.load(tmp_path / "latents/image.npy")
    assert (image.shape, image.dtype) == ((6, 2, 192, 8, 8), np.float16)
    pixels = functional.pixel_shuffle(torch.from_numpy(image).float(), 8)
    torch.testing.assert_close(pixels[:, 1], pixels[:, 0].flip(-1))
    calls = []
    runner.model.codec.encode = lambda images: calls.append(images)
    runner.model.loss(*batch())
    assert not calls


def test_cache_is_kept_until_data_or_codec_change(train, data_root, tmp_path):
    folder = tmp_path / "latents"
    written = folder / "mask.npy"
    train("first", **cached(folder))
    before = written.stat().st_mtime_ns
    train("second", **cached(folder))
    assert written.stat().st_mtime_ns == before
    os.utime(data_root / "images/3.png", ns=(1, 1))
    train("third", **cached(folder))
    after = written.stat().st_mtime_ns
    assert after != before
    steps = small_config(data_root, tmp_path).train_dataloader.dataset.pipeline
    steps[2].interpolation = "nearest"
    train("fourth", **cached(folder), **{"train_dataloader.dataset.pipeline": steps})
    assert written.stat().st_mtime_ns != after
    assert [path.name for path in tmp_path.glob("latents*")] == ["latents"]


def test_fingerprint_knows_the_weights_of_the_vae(base_model, data_root, tmp_path):
    from mmengine.registry import DATASETS

    from sos_mm.saliency.data.latent_cache_hook import fingerprint

    model = MODELS.build(small_config(data_root, tmp_path).model)
    model.codec = MODELS.build(dict(type="StableDiffusionVAE", pretrained=base_model))
    dataset = DATASETS.build(small_config(data_root, tmp_path).train_dataloader.dataset)
    before = fingerprint(model, dataset)
    assert fingerprint(model, dataset) == before
    with torch.no_grad():
        next(model.codec.parameters()).view(-1)[0] += 1
    assert fingerprint(model, dataset) != before


def test_cache_is_refused_where_latents_would_not_be_those_of_training(train, data_root, tmp_path):
    steps = small_config(data_root, tmp_path).train_dataloader.dataset.pipeline
    steps.insert(3, dict(type="sos_mm.SegmentPaste", bank=dict(type="sample")))
    with pytest.raises(ValueError, match="SegmentPaste in the pipeline: it may change the image at each visit"):
        train("paste", **cached(tmp_path / "latents"), **{"train_dataloader.dataset.pipeline": steps})
    pixel = {"model.decode_head.loss_diffusion": None, "model.decode_head.loss_pixel": dict(type="StructureLoss")}
    with pytest.raises(ValueError, match="never read"):
        train("pixel", **cached(tmp_path / "latents"), **pixel)
    assert not (tmp_path / "latents").exists()


def test_training_stops_at_a_loss_that_is_not_finite(train):
    class Spoil(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.files = [sample.img_path for sample in data_batch["data_samples"]]
            runner.model.decode_head.auxiliary.bias.data.fill_(float("inf"))

    spoil = Spoil()
    with pytest.raises(FloatingPointError) as raised:
        train("run", hooks=[spoil])
    assert len(spoil.files) == 2
    assert all(name in str(raised.value) for name in spoil.files)
