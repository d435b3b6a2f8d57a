"""The study from scratch: its data, its dosed training, its variants, and one small run of it."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from sos_mm.images import read_image
from sos_mm.segments import build_bank
from sos_mm.segments.sample import sample_group

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/benchmarks"))
import saliency_study as study
import saliency_study_data as study_data
import saliency_study_report as study_report
import saliency_study_ways as study_ways
import study_settings

IMAGES = 12


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A study's folder with a few images of either group."""
    folder = tmp_path_factory.mktemp("study")
    for group in study_data.GROUPS:
        study_data.compose_data(folder / "data" / group, group, IMAGES)
    study.tiny_configs(folder / "configs")
    init_default_scope("mmseg")
    return folder


def masks(folder: Path) -> list[np.ndarray]:
    return [read_image(path, channels=3)[..., 0] for path in sorted(folder.glob("*.png"))]


@pytest.mark.parametrize("group", study_data.GROUPS)
def test_distractors_are_background(out, group):
    folder = out / "data" / group
    before, after = (study_data.read_all(folder / kind) for kind in ("without_distractors/images", "images"))
    were = masks(folder / "without_distractors/masks")
    shown = zip(before, after, were, masks(folder / "masks"), masks(folder / "pasted"), strict=True)
    for plain, image, was, mask, pasted in shown:
        changed = (plain != image).any(2)
        # What is still salient was not painted over, but for soft edges of up to two pixels; nothing became salient.
        inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
        assert mask.any()
        assert not (changed & inside).any()
        assert not ((mask > 0) & (was == 0)).any()
        distractors = (pasted > 0) & (mask == 0)
        assert distractors.sum() > 20
        assert changed[distractors].mean() > 0.9
        np.testing.assert_array_equal(pasted > 0, (was > 0) | distractors)


def test_held_out_objects_and_backgrounds_are_others():
    ids = {}
    for group in study_data.GROUPS:
        banks = study_data.recipe(group).build_bank(), build_bank(study_data.distractor_paste(group).bank)
        ids[group] = {record.file for bank in banks for record in bank.records}
        assert study_data.recipe(group).backgrounds == dict(type="sample")
        assert study_data.recipe(group).group == group
    assert len(ids["train"]) > 100
    assert len(ids["held_out"]) > 40
    assert not ids["train"] & ids["held_out"]
    assert not set(sample_group("backgrounds", "train")) & set(sample_group("backgrounds", "held_out"))


def test_short_epochs_go_through_all_images_in_turn():
    sampler = study.ShortEpochs(range(10), length=4, seed=3)
    seen = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        seen += list(sampler)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_variants_keep_what_makes_them_that(out):
    models = {name: study.run_config(out, name, 0, 10).model for name in study.VARIANTS}
    heads = {name: model.decode_head for name, model in models.items()}
    assert models["branch"].type == "SalientBranchSegmentor"
    assert heads["full"].afim == dict(type="AttentionFeatureInteraction", gate=False)
    assert heads["gate"].afim.gate is True
    assert heads["plain_attention"].afim.type == "PlainCrossAttention"
    assert heads["no_aux"].loss_aux is None
    assert models["no_cbam"].neck.attention is False
    assert models["no_swin"].backbone is models["no_swin"].neck is heads["no_swin"].afim is None
    assert models["resnet50"].backbone.model_name.startswith("resnet")
    assert heads["1step"].loss_diffusion is None
    assert heads["1step"].loss_pixel.type == "StructureLoss"
    assert models["light"].type == "DistilledSegmentor"
    assert models["light"].teacher.config == models["1step"]
    # All else is that of the tiny model.
    unets = {name: head.unet for name, head in heads.items() if "unet" in head}
    assert models.keys() - unets.keys() == {"branch", "short_branch"}
    assert all(unet.architecture.block_out_channels == [64, 128] for unet in unets.values())
    assert not any(model.backbone.pretrained for model in models.values() if model.backbone is not None)


def test_interval_is_that_of_student():
    mean, half = study_report.interval([1.0, 2.0, 3.0])
    assert (mean, half) == pytest.approx((2, 4.303 / 3**0.5))
    assert study_report.interval([0.5]) == (0.5, None)


def test_colour_shares_are_counted_per_colour():
    images = np.zeros((1, 1, 4, 3), np.uint8)
    images[0, 0, 2:] = 255
    mask = np.array([255, 0, 255, 255], np.uint8).reshape(1, 1, 4, 1)
    shares = study_data.colour_shares(images, mask)
    assert shares[study_data.binned(images)].ravel().tolist() == pytest.approx([1.5 / 3, 1.5 / 3, 2.5 / 3, 2.5 / 3])


@torch.no_grad()
def test_disturbances_disturb_what_they_name(out):
    model = MODELS.build(study.run_config(out, "full", 0, 10).model).eval()
    images = torch.rand(2, 3, 64, 64)

    def maps(what: str | None, inputs: torch.Tensor) -> torch.Tensor:
        from mmseg.structures import SegDataSample

        samples = [SegDataSample(metainfo=dict(ori_shape=(64, 64), img_path="a.png")) for _ in inputs]
        predict = study_ways.disturbed(model, what) if what else model.predict
        return torch.stack([sample.pred_saliency.data for sample in predict(inputs, samples)])

    own = maps(None, images)
    for what in study_ways.DISTURBANCES[:2]:
        assert not torch.allclose(maps(what, images), own, atol=1e-4)
        twice = images[:1].repeat(2, 1, 1, 1)
        torch.testing.assert_close(maps(what, twice), maps(None, twice))
    silenced = maps("cross-attention silenced", images)
    assert not torch.allclose(silenced, own, atol=1e-4)
    for parameter in model.decode_head.afim.parameters():
        parameter.zero_()
    torch.testing.assert_close(maps("cross-attention silenced", images), silenced)


def test_drift_of_a_perfect_denoiser_is_none(out, monkeypatch):
    config = study.run_config(out, "full", 0, 10)
    runner = Runner.from_cfg(config)
    model, scheduler = runner.model.eval(), runner.model.decode_head.scheduler
    truth = torch.from_numpy(np.stack(masks(out / "data/held_out/masks"))).float()[:, None] / 127.5 - 1

    def perfect(image_latent, noisy, times, context):
        clean = model.codec.encode(truth.expand(-1, 3, -1, -1))
        alpha = scheduler.alphas_cumprod[times.reshape(-1)[0]].double()
        noise = (noisy.double() - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        return (alpha.sqrt() * noise - (1 - alpha).sqrt() * clean).float()

    monkeypatch.setattr(model.decode_head.denoiser, "forward", perfect)
    found = study_ways.drift(model, runner.test_dataloader, steps=4)
    assert [list(errors) for errors in found.values()] == [[999, 749, 499, 249]] * 2
    assert max(error for errors in found.values() for error in errors.values()) < 1e-4


def test_run_trains_judges_reports_and_is_not_done_again(out, monkeypatch):
    found = {name: [study.run(out, name, 0, iterations=2, epoch=2)] for name in ("branch", "1step")}
    assert found["1step"][0]["iterations"] == 2
    assert found["1step"][0]["seconds"] > 0
    assert {"itself", "auxiliary map", *study_ways.DISTURBANCES} == found["1step"][0]["scores"].keys()
    monkeypatch.setattr(Runner, "train", lambda runner: pytest.fail("trained again"))
    assert study.run(out, "branch", 0, iterations=2, epoch=2) == found["branch"][0]

    references = study_data.reference_scores(out / "data")
    about = {name: variant.about for name, variant in study.VARIANTS.items()}
    text = study_report.write_report(out, {}, references, found, about)
    for row in ("centre prior", "colour alone", "every object", "branch alone (indicative)", "auxiliary map"):
        assert row in text
    rows = json.loads((out / "study.json").read_text())["rows"]
    # Marking every object finds all that is salient and more: it is better than the centre, and wrong.
    assert rows["centre prior"]["MAE"][0] > rows["every object, distractors too"]["MAE"][0] > 0.01


def test_other_settings_are_refused(tmp_path):
    study.same_settings(tmp_path, dict(seconds=1))
    study.same_settings(tmp_path, dict(seconds=1))
    with pytest.raises(ValueError, match="name another folder"):
        study.same_settings(tmp_path, dict(seconds=2))


def test_images_of_other_recipes_are_refused(tmp_path, monkeypatch):
    """A folder of a version that kept no recipes is gone on with."""
    study.same_settings(tmp_path, dict(seconds=1))
    study.same_recipes(tmp_path, study_data.recipes())
    kept = (tmp_path / "recipes.json").read_bytes()
    study.same_recipes(tmp_path, study_data.recipes())
    assert (tmp_path / "recipes.json").read_bytes() == kept
    # Another set of images is no other recipe of those that are there.
    study.same_recipes(tmp_path, {"more": dict(canvas=(2, 3))})
    study.same_recipes(tmp_path, {"more": dict(canvas=(2, 3))})
    with pytest.raises(ValueError, match=r"recipes\.json has other values of area, canvas for `more`: go on with"):
        study.same_recipes(tmp_path, {"more": dict(canvas=(3, 2), area=6)})
    with monkeypatch.context() as patch:
        patch.setitem(study_data.DISTRACTORS, "counts", (2, 7))
        with pytest.raises(ValueError, match="other values of distractors for `"):
            study.same_recipes(tmp_path, study_data.recipes())
    monkeypatch.setattr(study_settings, "FORMAT", study_settings.FORMAT + 1)
    with pytest.raises(ValueError, match="other values of format for `"):
        study.same_recipes(tmp_path, study_data.recipes())
