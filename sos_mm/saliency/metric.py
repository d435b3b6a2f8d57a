"""The saliency metrics as a metric of mmengine."""

from collections.abc import Sequence
from csv import writer
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement

from sos_mm.metrics.saliency import mean_scores, saliency_scores


@METRICS.register_module()
class SODMetric(BaseMetric):
    """Mean absolute error and S-measure of saliency maps, averaged over images.

    Each data sample needs ``pred_saliency``, (1, H, W) float in [0, 1], and ``gt_saliency``, (1, H, W), float in
    [0, 1] or 8-bit, at the size of the original image. What is computed, and from which paper, is said in
    :mod:`sos_mm.metrics.saliency`. Only the scores of an image are kept, so any number of images fits.

    The keys are ``sod/MAE`` and ``sod/Smeasure``. mmengine does not know which way they improve:
    ``save_best='sod/MAE'`` needs ``rule='less'``, ``save_best='sod/Smeasure'`` needs ``rule='greater'``.

    Args:
        round_to_uint8: Score the maps as they would be saved, as 8-bit PNGs, which is what published figures are
            computed from. With False they are scored unrounded, and the keys say so: ``MAE_unrounded``.
        csv: File for the scores of each image, written by the main process after each evaluation.
        collect_device: See ``mmengine.evaluator.BaseMetric``.
        prefix: First part of the keys, ``sod`` by default; with several test sets, the name of each.
        collect_dir: See ``mmengine.evaluator.BaseMetric``.
    """

    default_prefix = "sod"

    def __init__(
        self,
        round_to_uint8: bool = True,
        csv: str | Path | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.round_to_uint8 = round_to_uint8
        self.csv = None if csv is None else Path(csv)

    def process(self, data_batch: object, data_samples: Sequence[dict | BaseDataElement]) -> None:
        """Scores the images of a batch.

        Args:
            data_batch: Unused.
            data_samples: Samples with prediction and ground truth, as dicts (so mmengine's evaluator hands them
                on) or as they come out of the model.

        Raises:
            ValueError: If a sample lacks either, or a map has a wrong shape, type or range of values; the message
                names the image.
        """
        for sample in data_samples:
            sample = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
            image = str(sample.get("img_path", "(without img_path)"))
            try:
                scores = saliency_scores(
                    _read_plane(sample, "pred_saliency"),
                    _read_mask(sample, "gt_saliency"),
                    round_to_uint8=self.round_to_uint8,
                )
            except ValueError as error:
                raise ValueError(f"The saliency map of image {image} cannot be scored: {error}") from error
            if not self.round_to_uint8:
                scores = {f"{name}_unrounded": score for name, score in scores.items()}
            self.results.append((image, scores))

    def compute_metrics(self, results: list[tuple[str, dict[str, float]]]) -> dict[str, float]:
        """The means over all images.

        Args:
            results: Path and scores of each image, of all processes.

        Returns:
            ``MAE`` and ``Smeasure``.

        Raises:
            ValueError: If there were no images.
        """
        means = mean_scores([scores for _, scores in results])
        if self.csv is not None:
            _write_csv(self.csv, results)
        return means


def _read_plane(sample: dict, key: str) -> np.ndarray:
    """The (1, H, W) tensor of a sample as an (H, W) array; floats of any precision become 32-bit."""
    if key not in sample:
        raise ValueError(f"`{key}` must be in the data sample, but it has only {', '.join(map(repr, sample))}.")
    element = sample[key]
    data = (element["data"] if isinstance(element, dict) else element.data).detach().cpu()
    if data.ndim != 3 or data.shape[0] != 1:
        raise ValueError(f"`{key}` must be of shape (1, H, W), but got {tuple(data.shape)}.")
    return (data.float() if data.is_floating_point() else data)[0].numpy()


def _read_mask(sample: dict, key: str) -> np.ndarray:
    """The same, with a float mask back at the 8-bit levels that it was loaded from."""
    mask = _read_plane(sample, key)
    if np.issubdtype(mask.dtype, np.floating):
        if not (mask.min() >= 0 and mask.max() <= 1):
            raise ValueError(f"`{key}` must hold values in [0, 1], but got values from {mask.min()} to {mask.max()}.")
        return np.rint(mask * 255).astype(np.uint8)
    return mask


def _write_csv(path: Path, results: list[tuple[str, dict[str, float]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = writer(file)
        table.writerow(["image", *results[0][1]])
        table.writerows([image, *scores.values()] for image, scores in results)
