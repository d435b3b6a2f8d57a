"""Predicts the saliency maps of files, folders and arrays in one call, and cuts out what is salient."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope
from mmseg.structures import SegDataSample

from sos_mm.checks import RENAMED_TEST_CFG, present_names
from sos_mm.config_file import check_sets, open_model_config
from sos_mm.cutouts.hypotheses import Hypothesis
from sos_mm.cutouts.photographs import Photograph, chunks, find_photographs, read_each
from sos_mm.cutouts.writing import KINDS, CutoutWriter
from sos_mm.engine.checkpoints import load_weights, read_checkpoint, safe_loading
from sos_mm.engine.config_errors import naming_settings
from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.errors import ErrorCollector
from sos_mm.saliency.data.transforms import LoadAuxiliaryImage, LoadSaliencyImage, LoadSaliencyMask
from sos_mm.segments.foreground import cut_out
from sos_mm.terminal import progress_bar

# Transforms of a test pipeline whose work is done here, or that need a ground truth.
_READERS = (LoadSaliencyImage, LoadImageFromFile, LoadSaliencyMask, LoadAnnotations)
# Shapes of images that show whether a pipeline brings all to one size.
_SHAPES = ((64, 128), (100, 50))


@dataclass(frozen=True, eq=False)
class SaliencyPrediction:
    """The saliency map of one image.

    Attributes:
        name: Name of the image; see `Photograph`.
        path: The image's file; its name if it was given as an array.
        image: (H, W, 3) uint8 RGB, the input image.
        saliency: (H, W) float32 in [0, 1].
        uncertainty: (H, W) float32, the standard deviation over the ensemble; None without one.
        hypotheses: Distinct masks among the ensemble's members, the largest share first; empty without
            ``test_cfg.hypotheses``.
    """

    name: str
    path: str
    image: np.ndarray
    saliency: np.ndarray
    uncertainty: np.ndarray | None = None
    hypotheses: tuple[Hypothesis, ...] = ()

    @property
    def alpha(self) -> np.ndarray:
        """Returns the saliency map as (H, W) uint8."""
        return np.rint(self.saliency * 255).astype(np.uint8)

    @cached_property
    def cutout(self) -> np.ndarray:
        """Returns the salient object as a cut-out, (H, W, 4) uint8 RGBA; computed on first use."""
        return cut_out(self.image, self.alpha)


class SODInferencer:
    """Predicts saliency maps; called like mmseg's inferencers.

    It is a `sos_mm.segments.cutter.Cutter` as well. Nothing is downloaded.

    Args:
        model: Config file or config of a model; None to run the config that the checkpoint holds, which needs
            ``trust_checkpoint``.
        weights: Checkpoint file.
        device: Device of the model, such as 'cuda:0'; None for a GPU if there is one.
        test_cfg: Values that replace those of the model's ``test_cfg``, such as ``dict(num_inference_steps=1,
            ensemble_size=4)``, or ``dict(ensemble_size=10, hypotheses=dict(number=3))`` for several hypotheses.
        show_progress: Whether to show a progress bar on stderr.
        trust_checkpoint: Whether to run the config in the checkpoint where ``model`` is None: it is Python code.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        UnsafeCheckpointError: If the checkpoint contains anything but weights and a training's state.
        ValueError: If no config is given and the checkpoint holds none or is not trusted, or a setting is unknown or
            wrong (names it).
        RuntimeError: If the checkpoint is of another architecture; names the parts that differ.

    Example:
        >>> inferencer = SODInferencer("configs/sod_diffusion/sod_diffusion_tiny.py", "epoch_4.pth")  # doctest: +SKIP
        >>> found = inferencer("photos", batch_size=8, out_dir="results")["predictions"]  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | Config | dict | None,
        weights: str | Path,
        device: str | None = None,
        test_cfg: dict | None = None,
        show_progress: bool = True,
        trust_checkpoint: bool = False,
    ):
        config = _read_config(model, _existing(weights, "The checkpoint"), trust_checkpoint)
        source = model if isinstance(model, str | Path) else "The config"
        check_sets(source, config, ("test_dataloader",), "(whose pipeline prepares the images)")
        if test_cfg:
            # Under the present names on both sides, so that one replaces the other.
            config.model.test_cfg = present_names(config.model.get("test_cfg") or {}, RENAMED_TEST_CFG, "test_cfg.")
            config.merge_from_dict({"model.test_cfg": present_names(test_cfg, RENAMED_TEST_CFG, "test_cfg.")})
        leave_out_pretrained(config.model)
        scope = DefaultScope.overwrite_default_scope(config.get("default_scope", "mmseg"))
        with safe_loading(), scope, naming_settings(config):
            self.model = MODELS.build(config.model)
            self.pipeline = _pipeline_for_arrays(config)
        load_weights(self.model, weights)
        self.model.to(device or get_device()).eval()
        self.config = config
        self.show_progress = show_progress

    def __call__(
        self,
        inputs: Any,
        batch_size: int = 1,
        out_dir: str | Path | None = None,
        kinds: Iterable[str] = KINDS,
        channel_order: str = "rgb",
        broken: str = "error",
    ) -> dict[str, Any]:
        """Predicts the saliency maps of images of any size.

        Args:
            inputs: A path, a folder, an array as `to_rgb` takes it, or a list of any of these.
            batch_size: Number of images in a batch; results do not depend on it.
            out_dir: Folder for the results, see `CutoutWriter`; None to write none.
            kinds: Kinds of results to write.
            channel_order: Channel order of arrays: 'rgb' or 'bgr'.
            broken: 'error' raises the error of the first image that cannot be read; 'skip' leaves such images out.

        Returns:
            ``predictions``: a list of `SaliencyPrediction` in the order of the inputs; ``skipped``: how many images
            were left out, by reason; ``faults``: what was wrong with each, naming it. All predictions are held in
            memory: for many large images use `stream`.

        Raises:
            FileNotFoundError, ValueError: See `find_photographs` and `Photograph.read`.
        """
        photographs, faults = find_photographs(inputs, channel_order), ErrorCollector(broken)
        writer = CutoutWriter(out_dir, tuple(kinds)) if out_dir is not None else None
        predictions = []
        with progress_bar(photographs, total=len(photographs), unit="images", shown=self.show_progress) as bar:
            for found in self.stream(bar, batch_size, faults):
                predictions.append(found)
                if writer is not None:
                    writer.write(found.name, found.image, found.alpha, found.uncertainty, found.hypotheses)
        return dict(predictions=predictions, skipped=dict(faults.counts), faults=faults.texts)

    def stream(
        self, photographs: Iterable[Photograph], batch_size: int = 1, faults: ErrorCollector | None = None
    ) -> Iterator[SaliencyPrediction]:
        """Predicts the saliency map of one photograph after another, with no more than a batch in memory.

        Args:
            photographs: The photographs.
            batch_size: Number of images in a batch.
            faults: Records the errors of images that cannot be read; they are raised if None.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, but got {batch_size}.")
        readable = read_each(photographs, faults or ErrorCollector())
        for chunk in chunks(readable, batch_size):
            yield from self._predict(*zip(*chunk, strict=True))

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Predicts the alpha of the salient object: (H, W, 3) uint8 RGB -> (H, W) uint8."""
        return next(self.stream([Photograph("image", image)])).alpha

    def input_size(self) -> tuple[int, int]:
        """Returns height and width that the test pipeline brings every image to.

        Raises:
            ValueError: If they depend on the image.
        """
        sizes = {tuple(self._packed("", np.zeros((*shape, 3), np.uint8))["inputs"].shape[1:]) for shape in _SHAPES}
        if len(sizes) != 1:
            raise ValueError(f"The test pipeline must bring all images to one size, but gives {sorted(sizes)}.")
        return sizes.pop()

    def _predict(
        self, photographs: tuple[Photograph, ...], images: tuple[np.ndarray, ...]
    ) -> Iterator[SaliencyPrediction]:
        """Predicts one batch."""
        data = [self._packed(photograph.path, image) for photograph, image in zip(photographs, images, strict=True)]
        # A pipeline that keeps sizes gives batches that would be padded: then one at a time.
        together = len({each["inputs"].shape for each in data}) == 1
        batches = [data] if together else [[each] for each in data]
        with torch.no_grad():
            samples = [sample for batch in batches for sample in self.model.test_step(pseudo_collate(batch))]
        for photograph, image, sample in zip(photographs, images, samples, strict=True):
            deviation = sample.saliency_std.data if "saliency_std" in sample else None
            yield SaliencyPrediction(
                photograph.name,
                photograph.path,
                image,
                _to_numpy(sample.pred_saliency.data),
                None if deviation is None else _to_numpy(deviation),
                _hypotheses_of(sample),
            )

    def _packed(self, path: str, image: np.ndarray) -> dict:
        shape = image.shape[:2]
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return self.pipeline(dict(img=pixels, img_path=path, img_shape=shape, ori_shape=shape))


def _hypotheses_of(sample: SegDataSample) -> tuple[Hypothesis, ...]:
    if "hypotheses" not in sample:
        return ()
    maps = sample.hypotheses.data.float().cpu().numpy()
    return tuple(Hypothesis(*each) for each in zip(maps, sample.hypotheses.shares, strict=True))


def _to_numpy(saliency: torch.Tensor) -> np.ndarray:
    return saliency[0].float().cpu().numpy()


def _existing(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{what} {path} does not exist.")
    return Path(path)


def _read_config(model: str | Path | Config | dict | None, weights: Path, trusted: bool) -> Config:
    """Reads the config, a copy that may be changed."""
    if isinstance(model, str | Path):
        return open_model_config(model)
    if model is not None:
        return Config(deepcopy(dict(model.items())))
    meta = read_checkpoint(weights).get("meta")
    text = meta.get("cfg") if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"The checkpoint {weights} holds no config: give the model's (`--config`).")
    if not trusted:
        raise ValueError(
            f"The config in the checkpoint {weights} is Python code, which is not run: give the model's config "
            "(`--config`), or `--trust-checkpoint` (`trust_checkpoint=True`) if you trust the file's source."
        )
    return Config.fromstring(text, ".py")


def _pipeline_for_arrays(config: Config) -> Compose:
    """Builds the part of the config's test pipeline that comes after reading.

    Raises:
        ValueError: If the model needs a second image (depth or thermal).
    """
    pipeline = Compose(config.test_dataloader.dataset.pipeline)
    if any(isinstance(transform, LoadAuxiliaryImage) for transform in pipeline.transforms):
        raise ValueError(
            "The model must need one image alone, but its test pipeline loads a second one (`LoadAuxiliaryImage`): "
            "use `tools/test.py --out` with a data set of pairs."
        )
    pipeline.transforms = [each for each in pipeline.transforms if not isinstance(each, _READERS)]
    return pipeline
