"""Malicious checkpoints at every tool and function that reads one: nothing runs, and the refusal is one line."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sos_mm.cli import cutout, test, train
from sos_mm.saliency import SODInferencer
from tests.helpers.malicious import PLACES, code, harmless
from tests.saliency.conftest import small_config, write_saliency_data

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a config and images; payloads create the folder 'it ran' in it."""
    folder = tmp_path_factory.mktemp("entry_points")
    data = write_saliency_data(folder / "data", 2)
    config = small_config(data, folder / "run")
    config.dump(folder / "config.py")
    return folder


@pytest.fixture(autouse=True)
def nothing_runs(files):
    yield
    assert not (files / "it ran").exists()


@pytest.fixture
def refused(capsys, monkeypatch):
    """Calls a command, which must refuse; returns its message."""

    def run(main, *arguments: object) -> None:
        if isinstance(main, str):
            monkeypatch.setattr(sys, "argv", [main, *map(str, arguments)])
            runpy.run_path(str(TOOLS / main), run_name="__main__")
        else:
            main([str(each) for each in arguments], "sos-mm")

    def call(*command: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(*command)
        text = capsys.readouterr().err
        assert ended.value.code == 2, text
        assert "Traceback" not in text
        return text[text.rindex("error: ") :]

    return call


def with_lines(folder: Path, *lines: str) -> Path:
    """Returns the config of a folder with more lines."""
    path = folder / "changed.py"
    path.write_text("\n".join([(folder / "config.py").read_text(encoding="utf-8"), *lines]), encoding="utf-8")
    return path


def train_with(folder: Path, *lines: str) -> tuple:
    return train.main, with_lines(folder, *lines), "--work-dir", folder / "run"


# The command of each entry point: what is called, and its arguments, for a folder and a checkpoint in it.
ENTRY_POINTS = {
    "train --resume": lambda f, c: (*train_with(f), "--resume", c),
    "load_from": lambda f, c: train_with(f, f"load_from = {str(c)!r}"),
    "load_from as an option": lambda f, c: (*train_with(f), "--cfg-options", f"load_from={c}"),
    "init_cfg": lambda f, c: train_with(f, f"model['init_cfg'] = dict(type='Pretrained', checkpoint={str(c)!r})"),
    "the encoder's pretrained": lambda f, c: (*train_with(f), "--cfg-options", f"model.backbone.pretrained={c}"),
    "the codec's pretrained": lambda f, c: train_with(
        f, f"model['codec'] = dict(type='StableDiffusionVAE', pretrained={str(c)!r})"
    ),
    "the teacher's": lambda f, c: train_with(f, *distilled(f, c)),
    "test": lambda f, c: (test.main, f / "config.py", c, "--work-dir", f / "run"),
    "report": lambda f, c: ("report_saliency.py", f / "config.py", c, "--work-dir", f / "run"),
    "cutout": lambda f, c: (cutout.main, f / "data/images", f / "out", "--config", f / "config.py", "--checkpoint", c),
    "cutout --trust": lambda f, c: (cutout.main, f / "data/images", f / "out", "--trust-checkpoint", "--checkpoint", c),
    "cutout by ONNX": lambda f, c: (cutout.main, f / "data/images", f / "out", "--onnx", c),
    "export": lambda f, c: ("export_onnx.py", f / "config.py", c, f / "model.onnx"),
    "conversion back": lambda f, c: ("convert_checkpoint.py", "--back", c, "--unet", f / "unet", "--branch", f / "b"),
    "conversion of a branch": lambda f, c: converted(f, c, pickled=False),
    "conversion of a U-Net": lambda f, c: converted(f, c, pickled=True),
}  # fmt: skip


def distilled(folder: Path, checkpoint: Path) -> list[str]:
    """Returns the lines of a config that learns from a teacher."""
    teacher = dict(config=str(folder / "config.py"), checkpoint=str(checkpoint))
    return [
        "model['type'] = 'DistilledSegmentor'",
        f"model['teacher'] = {teacher!r}",
        "model['loss_distill'] = dict(type='StructureLoss')",
        "model['decode_head'].update(loss_diffusion=None, loss_pixel=dict(type='StructureLoss'))",
        "model['decode_head']['scheduler'].update(rescale_betas_zero_snr=True, timestep_spacing='trailing')",
        "model['train_cfg'] = dict(noise=None)",
        "model['test_cfg'].update(num_inference_steps=1, ensemble_size=1, noise='zero')",
    ]


def converted(folder: Path, checkpoint: Path, pickled: bool) -> tuple:
    """Returns the command that converts a released checkpoint: the file is that of its U-Net, or of its branch."""
    unet = folder / f"unet of {checkpoint.stem}"
    unet.mkdir(exist_ok=True)
    if pickled:
        (unet / "diffusion_pytorch_model.bin").write_bytes(checkpoint.read_bytes())
    else:
        save_file({"weight": torch.ones(1)}, unet / "diffusion_pytorch_model.safetensors")
    return "convert_checkpoint.py", "--unet", unet, "--branch", checkpoint, "--base", folder, "--out", folder / "o.pth"


def refuses_at(entry_point: str, place: str, files: Path, refused) -> None:
    # Without blanks, which mmengine removes from values of `--cfg-options`.
    checkpoint = files / f"{place.replace(' ', '-')}.pth"
    PLACES[place](checkpoint, files / "it ran")
    assert checkpoint.stem in refused(*ENTRY_POINTS[entry_point](files, checkpoint))


QUICK = ("train --resume", "load_from", "test", "cutout", "export", "conversion back")


@pytest.mark.parametrize(("entry_point", "place"), zip(QUICK, PLACES, strict=False))
def test_nothing_runs_at_any_entry_point(entry_point, place, files, refused):
    refuses_at(entry_point, place, files, refused)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_nothing_runs_at_any_entry_point_from_any_place(entry_point, place, files, refused):
    refuses_at(entry_point, place, files, refused)


def test_the_inferencer_refuses(files):
    for place in PLACES:
        PLACES[place](files / f"in {place}.pth", files / "it ran")
        for config in (None, files / "config.py"):
            with pytest.raises(ValueError, match=rf"{place}\.pth is refused|{place}\.pth cannot be read"):
                SODInferencer(config, files / f"in {place}.pth", device="cpu", trust_checkpoint=True)


def test_the_config_in_a_checkpoint_runs_only_if_trusted(files, refused, tmp_path):
    content = harmless()
    content["meta"]["cfg"] = code(files / "it ran")
    torch.save(content, tmp_path / "evil.pth")
    line = refused(cutout.main, files / "data/images", tmp_path / "out", "--checkpoint", tmp_path / "evil.pth")
    assert "evil.pth" in line
    assert "--trust-checkpoint" in line
    with pytest.raises(ValueError, match="trust_checkpoint=True"):
        SODInferencer(None, tmp_path / "evil.pth")
    assert not (files / "it ran").exists()
    # With a config of one's own it is never read; the weights are those of no model.
    assert "missing keys" in refused(*ENTRY_POINTS["cutout"](files, tmp_path / "evil.pth"))
    assert not (files / "it ran").exists()
    # It is executed, and describes no model.
    with pytest.raises(ValueError, match="The config must set `test_dataloader`"):
        SODInferencer(None, tmp_path / "evil.pth", trust_checkpoint=True)
    (files / "it ran").rmdir()


@pytest.mark.slow
def test_a_training_is_resumed_without_the_config_in_its_checkpoint(files, tmp_path):
    """mmengine runs ``meta.config``, which older versions of mmcv saved, when it resumes."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    command = [str(files / "config.py"), "--no-validate", "--cfg-options", "train_cfg.max_epochs=2"]
    train.main([*command, "--work-dir", str(whole)], "sos-mm")
    saved = torch.load(whole / "epoch_1.pth", weights_only=False)
    saved["meta"]["config"] = code(files / "it ran")
    run.mkdir()
    torch.save(saved, run / "epoch_1.pth")
    train.main([*command, "--work-dir", str(run), "--resume", str(run / "epoch_1.pth")], "sos-mm")

    # Continues to the state of the run that was not interrupted, with the log of the first epoch.
    ours, theirs = (torch.load(folder / "epoch_2.pth", weights_only=False) for folder in (run, whole))
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    assert all(torch.equal(value, theirs["state_dict"][name]) for name, value in ours["state_dict"].items())
    loss = [each["message_hub"]["log_scalars"]["train/loss"].data for each in (ours, theirs)]
    assert all(np.array_equal(a, b) for a, b in zip(*loss, strict=True))
