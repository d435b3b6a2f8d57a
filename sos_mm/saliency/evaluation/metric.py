"""The saliency metrics as a metric of mmengine."""

from collections.abc import Mapping, Sequence
from csv import writer
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement

from sos_mm.checks import check_integer
from sos_mm.metrics.figures import plot_curves
from sos_mm.metrics.saliency import ImageScores, average_curves, score_best, score_image, summarize


class Scored(NamedTuple):
    """What is kept of one image.

    Attributes:
        image: Its path.
        name: The name of its data set; empty if there is only one.
        scores: The scores of its saliency map.
        best: The scores of the hypothesis that is nearest to the truth; None unless asked for.
    """

    image: str
    name: str
    scores: ImageScores
    best: ImageScores | None = None


@METRICS.register_module()
class SODMetric(BaseMetric):
    """The metrics of salient object detection, over a data set.

    Each data sample needs ``pred_saliency``, (1, H, W) float in [0, 1], and ``gt_saliency``, (1, H, W), float in
    [0, 1] or 8-bit, both at the size of the original image. A mask is thresholded above 128 of 255, as in published
    evaluations. For each image, scores and a histogram are kept, 4 KB in total, so any number of images fits in memory.

    The keys, after the prefix, are ``MAE``, ``Smeasure``, ``wFmeasure``, ``adpFm``, ``meanFm``, ``maxFm``,
    ``adpEm``, ``meanEm`` and ``maxEm`` as in papers, and ``maxFm_per_image`` and ``maxEm_per_image``, the means of
    each image's own maximum; :mod:`sos_mm.metrics.saliency` says what each is. mmengine does not know which direction
    is better: ``save_best='sod/MAE'`` needs ``rule='less'``, all others ``rule='greater'``.

    If a run has several test sets (a ``ConcatDataset`` whose samples have a ``dataset_name``), each has its own keys,
    ``NAME/MAE`` and so on, and a table of all is logged at the end.

    Args:
        round_to_uint8: Whether to round maps to 8 bits before scoring, as in PNG files, from which published figures
            are computed. If False, the keys end in ``_unrounded``, such as ``MAE_unrounded``.
        weighted: Whether to compute the weighted F-measure, which takes most of the time.
        boundary: Whether to add the boundary IoU, as ``BIoU``.
        best_of: Number of hypotheses, of which the one with the least mean absolute error is scored in addition, under
            keys such as ``oracle_best_of_3_MAE``. There the truth chooses: these are an upper bound, and never to be
            compared with ordinary scores. Needs ``model.test_cfg.hypotheses``; None for none.
        csv: File for the scores of each image, written by the main process after each evaluation.
        curves: File (.png) for the precision-recall, F- and E-measure curves, written likewise.
        collect_device: See ``mmengine.evaluator.BaseMetric``.
        prefix: First part of the keys, ``sod`` by default; with several test sets, the name of each.
        collect_dir: See ``mmengine.evaluator.BaseMetric``.

    Raises:
        ValueError: If ``curves`` does not end in ``.png``.
    """

    default_prefix = "sod"

    def __init__(
        self,
        round_to_uint8: bool = True,
        weighted: bool = True,
        boundary: bool = False,
        best_of: int | None = None,
        csv: str | Path | None = None,
        curves: str | Path | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.options = {"round_to_uint8": round_to_uint8, "weighted": weighted, "boundary": boundary}
        if best_of is not None:
            check_integer("best_of", best_of, 1, 2**31)
        self.best_of = best_of
        self.csv = None if csv is None else Path(csv)
        self.curves = None if curves is None else Path(curves)
        # Checked before hours of testing, not after.
        if self.curves is not None and self.curves.suffix.lower() != ".png":
            raise ValueError(f"`curves` must end in .png, but got {curves}.")

    def process(self, data_batch: object, data_samples: Sequence[dict | BaseDataElement]) -> None:
        """Scores the images of a batch.

        Args:
            data_batch: Unused.
            data_samples: Samples with prediction and ground truth, as dicts (so mmengine's evaluator hands them
                on) or as they come out of the model.

        Raises:
            ValueError: If a sample lacks either, their sizes differ, or a map has a wrong shape, type or range of
                values; the message names the image.
        """
        for sample in data_samples:
            sample = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
            image = str(sample.get("img_path", "(without img_path)"))
            try:
                prediction, mask = _read_plane(sample, "pred_saliency"), _read_mask(sample, "gt_saliency")
                _check_same_size(prediction, mask)
                scored = score_image(prediction, mask, **self.options)
                best = None
                if self.best_of is not None:
                    best = score_best(_read_hypotheses(sample, mask)[: self.best_of], mask, **self.options)
            except ValueError as error:
                raise ValueError(f"The saliency map of image {image} cannot be scored: {error}") from error
            self.results.append(Scored(image, str(sample.get("dataset_name", "")), scored, best))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Averages the scores of each data set.

        Args:
            results: The fields of `Scored` of each image, of all processes; mmengine makes plain tuples of them.

        Returns:
            The scores by key, without prefix; with several data sets by the name of each and the key.

        Raises:
            ValueError: If there were no images.
        """
        images = [Scored(*each) for each in results]
        by_name: dict[str, list[Scored]] = {}
        for each in images:
            by_name.setdefault(each.name, []).append(each)
        summaries = {name: self._summary(group) for name, group in by_name.items()}
        if self.csv is not None:
            _write_csv(self.csv, [(each.image, self._scores(each)) for each in images])
        if self.curves is not None:
            unrounded = "" if self.options["round_to_uint8"] else ", unrounded"
            curves = {
                f"{name or self.prefix}{unrounded}": average_curves([each.scores for each in group])
                for name, group in by_name.items()
            }
            plot_curves(curves, self.curves)
        if len(summaries) <= 1:
            return next(iter(summaries.values()), None) or summarize([])
        print_log("\n" + table(summaries), logger="current")
        return {f"{name}/{key}": value for name, scores in summaries.items() for key, value in scores.items()}

    def _summary(self, images: list[Scored]) -> dict[str, float]:
        """Averages the scores of one data set."""
        scores = self._labelled(summarize([each.scores for each in images]))
        best = [each.best for each in images if each.best is not None]
        return scores | (self._labelled(summarize(best), self._oracle) if best else {})

    def _scores(self, image: Scored) -> dict[str, float]:
        """Returns the scores of one image by key."""
        best = {} if image.best is None else self._labelled(image.best.scores, self._oracle)
        return self._labelled(image.scores.scores) | best

    @property
    def _oracle(self) -> str:
        return f"oracle_best_of_{self.best_of}_"

    def _labelled(self, scores: dict[str, float], prefix: str = "") -> dict[str, float]:
        suffix = "" if self.options["round_to_uint8"] else "_unrounded"
        return {f"{prefix}{name}{suffix}": score for name, score in scores.items()}


def table(summaries: Mapping[str, Mapping[str, float]]) -> str:
    """Formats scores as a table of text, a line a data set."""
    keys = list(next(iter(summaries.values())))
    width = max(map(len, summaries))
    lines = [" " * width + "".join(f" {key:>{max(len(key), 6)}}" for key in keys)]
    for name, scores in summaries.items():
        lines.append(f"{name:{width}}" + "".join(f" {scores[key]:{max(len(key), 6)}.4f}" for key in keys))
    return "\n".join(lines)


def _check_same_size(prediction: np.ndarray, mask: np.ndarray) -> None:
    if prediction.shape != mask.shape:
        sizes = ["x".join(map(str, plane.shape[::-1])) for plane in (prediction, mask)]
        raise ValueError(
            f"`pred_saliency` is {sizes[0]}, but `gt_saliency` is {sizes[1]}: both must be of the original image's "
            "size, so load the mask after resizing the image, not before."
        )


def _read_plane(sample: dict, key: str) -> np.ndarray:
    """Returns the (1, H, W) tensor of a sample as an (H, W) array; floats of any precision become 32-bit."""
    if key not in sample:
        raise ValueError(f"`{key}` must be in the data sample, but it has only {', '.join(map(repr, sample))}.")
    element = sample[key]
    data = (element["data"] if isinstance(element, dict) else element.data).detach().cpu()
    if data.ndim != 3 or data.shape[0] != 1:
        raise ValueError(f"`{key}` must be of shape (1, H, W), but got {tuple(data.shape)}.")
    return (data.float() if data.is_floating_point() else data)[0].numpy()


def _read_hypotheses(sample: dict, mask: np.ndarray) -> list[np.ndarray]:
    """Returns the hypotheses (k, H, W) of a sample as k arrays (H, W) float32."""
    if "hypotheses" not in sample:
        raise ValueError(
            "`hypotheses` must be in the data sample for `best_of`: set `model.test_cfg.hypotheses.number` and "
            "`model.test_cfg.ensemble_size`."
        )
    element = sample["hypotheses"]
    maps = (element["data"] if isinstance(element, dict) else element.data).detach().float().cpu().numpy()
    if maps.ndim != 3 or not len(maps) or maps.shape[1:] != mask.shape:
        wanted = f"(k, {mask.shape[0]}, {mask.shape[1]}), as `gt_saliency`"
        raise ValueError(f"`hypotheses` must be of shape {wanted}, but got {maps.shape}.")
    return list(maps)


def _read_mask(sample: dict, key: str) -> np.ndarray:
    """Returns a mask (H, W); a float mask gets back the 8-bit levels that it was loaded from."""
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
