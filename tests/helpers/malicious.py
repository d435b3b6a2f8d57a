"""Malicious checkpoints: whoever unpickles one, or runs the config in it, creates a file."""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Payload:
    """An object that creates a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def harmless() -> dict[str, Any]:
    """Returns the content of a checkpoint that mmengine can resume, without weights."""
    hub = dict(log_scalars={}, runtime_info={}, resumed_keys={})
    meta = dict(epoch=0, iter=0, seed=0, cfg="model = dict()")
    return dict(meta=meta, state_dict={}, message_hub=hub, optimizer={}, param_schedulers=[])


def _inside(*keys: str) -> Callable[[Path, Path], None]:
    def write(path: Path, marker: Path) -> None:
        content = harmless()
        part = content
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = Payload(marker)
        torch.save(content, path)

    return write


def _whole(path: Path, marker: Path) -> None:
    torch.save(Payload(marker), path)


def _plain_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(marker)))


def _old_format(path: Path, marker: Path) -> None:
    torch.save(dict(state_dict=dict(weight=Payload(marker))), path, _use_new_zipfile_serialization=False)


def _tar(path: Path, marker: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Payload(marker))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


# Where a payload can be, and what writes such a file at a path.
PLACES: dict[str, Callable[[Path, Path], None]] = {
    "the whole file": _whole,
    "a plain pickle": _plain_pickle,
    "the old file format": _old_format,
    "a tar file": _tar,
    "meta": _inside("meta", "seed"),
    "message_hub": _inside("message_hub", "runtime_info", "loss"),
    "log_scalars": _inside("message_hub", "log_scalars", "loss"),
    "state_dict": _inside("state_dict", "weight"),
    "optimizer": _inside("optimizer", "state"),
    "param_schedulers": _inside("param_schedulers"),
}


def code(marker: Path) -> str:
    """Returns a config whose execution creates the file."""
    return f"__import__('os').mkdir({str(marker)!r})\nmodel = dict()\n"
