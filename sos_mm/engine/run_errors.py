"""Tells what a user's data and settings cause while a model is trained or tested from what is a fault of code."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import getsize, isfile
from pathlib import Path
from traceback import FrameSummary, walk_tb
from typing import Any

from mmengine.runner import Runner
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from sos_mm.checks import USER_ERRORS

_PACKAGE = Path(__file__).resolve().parents[1]
# What torch raises in the main process holds the traceback of the data worker as text.
_OF_WORKER = re.compile(r"Caught (\w+) in DataLoader worker process \d+\.\nOriginal (.*)", re.DOTALL)
_FRAME = re.compile(r'^  File "(.*)", line (\d+), in (.*)\n    (.*)$', re.MULTILINE)
# mmcv asserts it.
_NO_IMAGE = "failed to load image: "
# OpenCV asserts it of an empty file, which mmcv hands to it; says neither.
_EMPTY = "!buf.empty() in function 'imdecode"


class RunError(ValueError):
    """An error of a run that a user's data or settings cause; its text says what to do."""


@contextmanager
def explaining_run(runner: Runner) -> Iterator[None]:
    """Raises a `RunError` where a user's data or settings are the cause; other exceptions pass, with their traceback.

    The former are files that a data loader cannot read, and all that a ``raise`` statement of this package says, since
    such a text names the remedy. A ValueError that numpy raises in a transform is neither. It does not matter
    whether the main process or a worker of a data loader fails.

    Args:
        runner: The runner that trains or tests in this context.

    Raises:
        RunError: In place of these.
    """
    try:
        yield
    except Exception as error:
        text, last = _told(error)
        name, data = _data_set(error, runner)
        unread = isinstance(error, OSError) or _NO_IMAGE in text
        if data is not None and _EMPTY in text:
            text, unread = _empty_file(data), True
        if data is not None and unread:
            text = (
                f"{name} cannot be read: {text.rstrip('.')}. Correct its `data_root`, `data_prefix` or annotation "
                "file, or the image."
            )
        elif not (isinstance(error, USER_ERRORS) and _is_ours(last)):
            raise
        raise RunError(text) from error


def _told(error: Exception) -> tuple[str, FrameSummary | None]:
    """Returns the text of an exception and the innermost frame of its traceback: those of the worker, if one failed."""
    if not (found := _OF_WORKER.match(str(error))):
        return str(error), traceback.extract_tb(error.__traceback__)[-1]
    kind, told = found.groups()
    frames = [FrameSummary(name, int(line), where, line=code) for name, line, where, code in _FRAME.findall(told)]
    # Greedy: the exception stands at the end, after those that it was raised from.
    said = re.match(rf".*^(?:\w+\.)*{kind}: (.*)", told, re.DOTALL | re.MULTILINE)
    return said[1].strip() if said else kind, frames[-1] if frames else None


def _is_ours(frame: FrameSummary | None) -> bool:
    """Returns whether a frame of this package failed by a ``raise`` statement."""
    return bool(frame and frame.line and frame.line.startswith("raise ") and _PACKAGE in Path(frame.filename).parents)


def _data_set(error: Exception, runner: Runner) -> tuple[str, Dataset | None]:
    """Returns what a message calls the data set that an exception came from, and itself; None if from elsewhere."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is _BaseDataLoaderIter.__next__.__code__:
            loops = {kind: getattr(runner, f"_{kind}_loop") for kind in ("train", "val", "test")}
            loaders = {kind: getattr(loop, "dataloader", None) for kind, loop in loops.items()}
            failed = frame.f_locals["self"]._dataset
            kinds = [kind for kind, loader in loaders.items() if loader and loader.dataset is failed]
            return f"`{kinds[0]}_dataloader.dataset`" if kinds else "A data set", failed
    return "", None


def _empty_file(data: Any) -> str:
    """Says which file of a data set is empty: the first one that its records name, if any."""
    records = (data.get_data_info(index) for index in range(len(data))) if hasattr(data, "get_data_info") else ()
    for record in records:
        for key, value in record.items():
            if key.endswith("path") and isinstance(value, str) and isfile(value) and not getsize(value):
                return f"the file {value} is empty"
    return "one of its files is empty"
