"""Checkpoints: what mmengine saves is read as it was, and nothing that a checkpoint contains is run."""

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("mmengine")
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint

from sos_mm.engine.checkpoints import (
    UnsafeCheckpointError,
    allow_list,
    load_safely,
    load_weights,
    read_checkpoint,
    safe_loading,
)
from sos_mm.engine.hooks import check_state
from tests.helpers.malicious import PLACES, Payload, harmless


@pytest.fixture
def marker(tmp_path):
    """The folder that a payload creates."""
    return tmp_path / "it ran"


def test_what_mmengine_saves_is_read_as_it_was(tmp_path):
    scalars = HistoryBuffer([0.5, 0.25], [1, 2], max_length=10)
    content = harmless()
    content["state_dict"] = dict(weight=torch.arange(6.0).reshape(2, 3).half(), number=torch.tensor(3))
    content["message_hub"].update(
        log_scalars={"train/loss": scalars},
        runtime_info={"score": np.float64(0.75), "step": np.int64(4), "mean": np.float32([1.5, 2.5])},
    )
    content["meta"]["dataset_meta"] = ConfigDict(classes=("cat", "dog"), palette=[(0, 0, 255)], areas={3, 4})
    content["optimizer"] = dict(state={0: dict(step=torch.tensor(7.0))}, param_groups=[dict(lr=0.1, betas=(0.9, 0.99))])
    torch.save(content, tmp_path / "epoch_1.pth")

    read = read_checkpoint(tmp_path / "epoch_1.pth")

    assert torch.equal(read["state_dict"]["weight"], content["state_dict"]["weight"])
    buffer, info = read["message_hub"]["log_scalars"]["train/loss"], read["message_hub"]["runtime_info"]
    assert buffer.mean(2) == (0.5 + 0.25) / (1 + 2)
    assert [values.tolist() for values in buffer.data] == [[0.5, 0.25], [1, 2]]
    assert (info["score"], info["step"], info["mean"].tolist()) == (0.75, 4, [1.5, 2.5])
    assert [type(info[key]) for key in ("score", "step")] == [np.float64, np.int64]
    assert dict(read["meta"]["dataset_meta"]) == dict(content["meta"]["dataset_meta"])
    assert read["optimizer"]["param_groups"] == content["optimizer"]["param_groups"]
    assert read["optimizer"]["state"][0]["step"].item() == 7


@pytest.mark.parametrize("place", [place for place in PLACES if place != "a tar file"])
def test_the_payload_would_run(place, tmp_path, marker):
    PLACES[place](tmp_path / "evil.pth", marker)
    if place == "a plain pickle":
        pickle.loads((tmp_path / "evil.pth").read_bytes())
    else:
        torch.load(tmp_path / "evil.pth", weights_only=False)
    assert marker.is_dir()


@pytest.mark.parametrize("place", PLACES)
def test_nothing_in_a_checkpoint_is_run(place, tmp_path, marker):
    path = tmp_path / "evil.pth"
    PLACES[place](path, marker)
    model = torch.nn.Linear(2, 2)
    readers = {
        "read_checkpoint": lambda: read_checkpoint(path),
        "load_weights": lambda: load_weights(model, path),
        "torch.load": lambda: torch.load(path, weights_only=False),
        "torch.load of a buffer": lambda: torch.load(io.BytesIO(path.read_bytes()), map_location="cpu"),
        "torch.load with pickle": lambda: torch.load(path, pickle_module=pickle),
        "mmengine": lambda: load_checkpoint(model, str(path), map_location="cpu"),
    }
    with safe_loading():
        for name, read in readers.items():
            with pytest.raises(ValueError, match=r"is refused|cannot be read") as caught:
                read()
            assert "\n" not in str(caught.value), name
            assert not marker.exists(), name


def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program.pth"))
    with pytest.raises(UnsafeCheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "program.pth")


class Call:
    """An object that is unpickled as the result of a call."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize(
    "call",
    [
        Call(getattr, HistoryBuffer, "__init__"),
        Call(getattr, HistoryBuffer, "register_statistics"),
        Call(getattr, np.ndarray, "tofile"),
        Call(np.ndarray, (2,), np.dtype(object)),
        Call(eval, "1"),
        Call(torch.load, "/dev/null"),
    ],
)
def test_functions_of_the_allow_list_do_no_more_than_they_need(call, tmp_path):
    torch.save(dict(state_dict=dict(weight=call)), tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="is refused"):
        read_checkpoint(tmp_path / "evil.pth")


def test_the_config_that_mmengine_would_run_on_resuming_is_left_out(tmp_path):
    content = harmless()
    content["meta"]["config"] = "raise SystemExit('it ran')"
    torch.save(content, tmp_path / "old.pth")
    assert set(read_checkpoint(tmp_path / "old.pth")["meta"]) == set(harmless()["meta"])


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04 cut", bytes(100), b"\x80\x02]q\x00.", "a cut file"])
def test_files_of_another_kind_are_refused(data, tmp_path):
    path = tmp_path / "other.pth"
    if isinstance(data, str):
        torch.save(harmless(), path)
        data = path.read_bytes()[:-40]
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"other\.pth") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), dict(state_dict=[1]), {3: torch.ones(1)}])
def test_other_content_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth must be a dict with the weights under `state_dict`"):
        read_checkpoint(tmp_path / "other.pth")


def test_torch_is_left_as_it_was(tmp_path, marker):
    before = torch.load
    added = list(torch.serialization.get_safe_globals()) if hasattr(torch.serialization, "get_safe_globals") else []
    torch.save(Payload(marker), tmp_path / "evil.pth")
    with pytest.raises(UnsafeCheckpointError), safe_loading():
        torch.load(tmp_path / "evil.pth")
    assert torch.load is torch.serialization.load is before
    if hasattr(torch.serialization, "get_safe_globals"):
        assert set(torch.serialization.get_safe_globals()) == set(added)


def test_a_file_is_read_from_where_it_stands(tmp_path):
    with open(tmp_path / "two.bin", "w+b") as file:
        file.write(b"header")
        torch.save({"weight": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
        file.seek(6)
        assert load_safely(file)["weight"].tolist() == [1, 1]


def test_the_list_names_no_function_that_could_run_code():
    named = allow_list()
    assert not {"builtins.eval", "builtins.exec", "os.system", "posix.system"} & named.keys()
    assert named["builtins.getattr"] is not getattr


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("message_hub"), "holds no state of a training to resume"),
        (lambda c: c["meta"].pop("epoch"), "holds no state of a training to resume"),
        (lambda c: c["message_hub"].update(runtime_info=[]), "holds no state of a training to resume"),
        # mmengine deletes this file when a better checkpoint is written.
        (lambda c: c["message_hub"]["runtime_info"].update(best_ckpt="/home/me/thesis.pth"), "must name a best_"),
    ],
)
def test_what_cannot_be_resumed_is_refused(change, match):
    content = harmless()
    content["message_hub"]["runtime_info"]["best_ckpt"] = "work_dirs/run/best_sod_MAE_epoch_3.pth"
    check_state(content)
    change(content)
    with pytest.raises(ValueError, match=match):
        check_state(content)
