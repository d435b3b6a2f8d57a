"""A data set of ODVG files with many categories and images."""

import gc
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmdet.datasets import ODVGDataset
from mmengine.fileio import get_local_path
from mmengine.registry import DATASETS

from sos_mm.detection.shared_bytes import SharedBytes

# Lines of the annotation file that are read at once.
_PART = 10_000
# That of mmengine's own serialization.
_PROTOCOL = 4


@DATASETS.register_module()
class CompactODVGDataset(ODVGDataset):
    """mmdet's `ODVGDataset` in less memory, also of a million images.

    Samples are the same. mmdet stores the category names with each image: the 1,600 names of composed frequent
    categories take 4 GB with 100,000 images, in every process, and the 47,000 names of general categories take 100 GB.
    Here there is a single copy. mmdet holds all annotations as Python objects while it opens the file, and spawned
    loader processes each get a copy; here the file is read part by part, into a temporary file (in ``TMPDIR``, about as
    large as the annotations) that all processes share.

    Args:
        *args: See `mmdet.datasets.ODVGDataset`.
        **kwargs: See `ODVGDataset`; without ``need_text``.

    Raises:
        FileNotFoundError: If an annotation file or label map does not exist.
        OSError: If the disk of the temporary file is full.
        ValueError: If there is no image.
    """

    ann_file: str
    backend_args: dict[str, Any] | None
    _fully_initialized: bool
    _shared: SharedBytes | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, need_text=False, **kwargs)

    def full_init(self) -> None:
        """Reads the annotations, part by part unless all are needed at once."""
        whole = not self.serialize_data or self._indices is not None or self.proposal_file is not None
        if self._fully_initialized or whole:
            super().full_init()
            return
        lengths: list[int] = []
        with _without_collection():
            self._shared = SharedBytes.of(self._serialized(lengths))
        if not lengths:
            raise ValueError(f"{self.ann_file} must hold at least one image, but there is none.")
        self.data_list: list[dict[str, Any]] = []
        self.data_bytes, self.data_address = self._shared.array, np.cumsum(lengths, dtype=np.int64)
        self._fully_initialized = True

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Returns the annotations of an image, with the names of all categories if they are given by category."""
        info = super().get_data_info(idx)
        if self.dataset_mode == "OD":
            # A copy, since pipelines modify it.
            info["text"] = dict(self.label_map)
        return info

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self._shares:
            del state["data_bytes"]
        else:
            # A subset needs nothing of the file.
            state["_shared"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "data_bytes" not in state and self._shared is not None:
            self.data_bytes = self._shared.array

    @property
    def _shares(self) -> bool:
        """Whether the annotations are those of the shared file; a subset has its own."""
        return self._shared is not None and self.__dict__.get("data_bytes") is self._shared.array

    def _serialized(self, lengths: list[int]) -> Iterator[bytes]:
        """Yields the annotations of each image as mmengine serializes them, and appends their lengths in bytes."""
        for part in self._parts():
            self.data_list = part
            for info in self.filter_data():
                content = pickle.dumps(info, _PROTOCOL)
                lengths.append(len(content))
                yield content

    def _parts(self) -> Iterator[list[dict[str, Any]]]:
        """Yields what mmdet reads of the annotation file, some lines at a time."""
        path, backend = self.ann_file, self.backend_args
        with (
            get_local_path(path, backend_args=backend) as local,
            open(local, "rb") as lines,
            TemporaryDirectory(prefix="sos_mm-") as folder,
        ):
            # mmdet reads the file of the data set.
            self.ann_file, self.backend_args = os.path.join(folder, "part.jsonl"), None
            try:
                while part := list(islice(lines, _PART)):
                    Path(self.ann_file).write_bytes(b"".join(part))
                    yield self.load_data_list()
            finally:
                self.ann_file, self.backend_args = path, backend


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pauses the search for garbage in cycles: annotations have none, and the search takes half of their reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
