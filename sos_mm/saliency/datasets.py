"""Saliency data: a folder of images and a folder of masks."""

from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from sos_mm.checks import IMAGE_SUFFIXES, check_folder


@DATASETS.register_module()
class SaliencyDataset(BaseDataset):
    """Pairs of an image and a mask of the same stem, in two folders.

    Args:
        data_root: The folder that the prefixes lie in.
        data_prefix: ``img_path`` and ``mask_path``, folders below ``data_root``.
        **kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder is missing or without images, or an image has no mask.
    """

    METAINFO = dict(classes=("background", "salient"), palette=[[0, 0, 0], [255, 255, 255]])

    def __init__(
        self,
        data_root: str = "",
        data_prefix: dict | None = None,
        **kwargs,
    ):
        prefix = data_prefix or dict(img_path="images", mask_path="masks")
        super().__init__(data_root=data_root, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The pairs, by name: ``img_path`` and ``mask_path``."""
        masks = images_by_stem(self.data_prefix["mask_path"], "The folder of masks")
        images = images_by_stem(self.data_prefix["img_path"], "The folder of images")
        missing = [path for stem, path in images.items() if stem not in masks]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(images)} images have no mask in {self.data_prefix['mask_path']}; "
                f"the first is {missing[0]}: add {missing[0].stem}.png there or remove the image."
            )
        return [dict(img_path=str(path), mask_path=str(masks[stem])) for stem, path in images.items()]


def images_by_stem(folder: str, what: str) -> dict[str, Path]:
    """The image files of a folder by stem, sorted.

    Raises:
        FileNotFoundError: If there is no folder or no image in it.
        ValueError: If two files share a stem.
    """
    paths = sorted(path for path in check_folder(folder, what).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{what} {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise ValueError(f"{stems[path.stem]} and {path} have the same stem: keep one of them.")
        stems[path.stem] = path
    return stems
