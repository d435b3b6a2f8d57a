"""Saves saliency results as images: saliency maps, and rows of image, ground truth, prediction and uncertainty."""

from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from sos_mm.images import read_image

# Width between images side by side, in pixels.
_GAP = 4


class ResultImageHook(Hook):
    """Base of hooks that save images; with several data sets each has a folder, since their file names are alike."""

    several = False

    def before_val_epoch(self, runner) -> None:
        """Notes whether validation has several data sets, whose images then get a folder each."""
        self.several = len(getattr(runner.val_dataloader.dataset, "datasets", ())) > 1

    def before_test_epoch(self, runner) -> None:
        """Notes whether testing has several data sets, whose images then get a folder each."""
        self.several = len(getattr(runner.test_dataloader.dataset, "datasets", ())) > 1

    def path(self, folder: Path, sample) -> Path:
        """Returns the file of a sample's image, and makes its folder."""
        folder = folder / sample.dataset_name if self.several else folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{Path(sample.img_path).stem}.png"


@HOOKS.register_module()
class SaliencyVisualizationHook(ResultImageHook):
    """Saves image / ground truth / prediction rows of the first images of a validation or test run.

    With an ensemble the rows end with its standard deviation, the uncertainty.

    Args:
        number: Number of images; None for all.
        height: The rows' height in pixels.
        folder: Folder for the rows, in the run's log folder unless absolute.
    """

    def __init__(self, number: int | None = 8, height: int = 192, folder: str = "rows"):
        self.number = number
        self.height = height
        self.folder = folder
        self._saved = 0

    def before_val_epoch(self, runner) -> None:
        """Resets the number of saved rows."""
        super().before_val_epoch(runner)
        self._saved = 0

    def before_test_epoch(self, runner) -> None:
        """Resets the number of saved rows."""
        super().before_test_epoch(runner)
        self._saved = 0

    def after_val_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs: list | None = None):
        """Saves rows until ``number`` is reached, in the main process; with None all processes save theirs."""
        if self.number is not None and not is_main_process():
            return
        folder = Path(runner.log_dir, self.folder)
        for sample in outputs or ():
            if self.number is not None and self._saved >= self.number:
                return
            row = cv2.cvtColor(result_row(sample, self.height), cv2.COLOR_RGB2BGR)
            mmcv.imwrite(row, str(self.path(folder, sample)))
            self._saved += 1

    after_test_iter = after_val_iter


@HOOKS.register_module()
class SaveSaliencyHook(ResultImageHook):
    """Saves every predicted saliency map of a test run as an 8-bit PNG at the image's original size.

    Args:
        folder: Folder for the saliency maps; each of several data sets has a folder in it.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs: list | None = None):
        """Saves the saliency maps of a batch; every process saves its own."""
        for sample in outputs or ():
            mmcv.imwrite(grey_image(sample.pred_saliency.data)[..., 0], str(self.path(self.folder, sample)))


def result_row(sample, height: int) -> np.ndarray:
    """Joins image, ground truth (where there is one), prediction and uncertainty (with an ensemble) side by side.

    Args:
        sample: A predicted ``SegDataSample`` with the metainfo ``img_path``.
        height: Height of the row in pixels.

    Returns:
        (height, W, 3) uint8 RGB.
    """
    image = read_image(sample.img_path, 3)
    fields = [sample.gt_saliency] if "gt_saliency" in sample else []
    maps = [grey_image(field.data) for field in (*fields, sample.pred_saliency)]
    if "saliency_std" in sample:
        maps.append(uncertainty_image(sample.saliency_std.data))
    return side_by_side([image, *maps], height)


def grey_image(saliency) -> np.ndarray:
    """Converts a saliency map (1, H, W) in [0, 1] to a grey image (H, W, 3) uint8."""
    grey = (saliency[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
    return np.repeat(grey[..., None], 3, axis=2)


def uncertainty_image(deviation) -> np.ndarray:
    """Maps an ensemble's standard deviation (1, H, W) to colours (H, W, 3) uint8, black for 0 to yellow for 0.5."""
    return false_colors((deviation[0] * 2).clamp(0, 1).float().cpu().numpy())


def false_colors(values: np.ndarray) -> np.ndarray:
    """Maps values (H, W) in [0, 1] to colours, (H, W, 3) uint8 RGB."""
    return cv2.applyColorMap(np.rint(values * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]


def side_by_side(images: list[np.ndarray], height: int) -> np.ndarray:
    """Joins images (h, w, 3) uint8 to one row of a common height, with white gaps."""
    cells = []
    for image in images:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        cells += [
            mmcv.imresize(image, (width, height), interpolation="area"),
            np.full((height, _GAP, 3), 255, np.uint8),
        ]
    return np.concatenate(cells[:-1], axis=1)
