"""Saliency data: a folder of images, one of masks, and perhaps one of a second modality."""

from collections.abc import Iterable
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from sos_mm.checks import check_folder
from sos_mm.images import IMAGE_SUFFIXES, list_images
from sos_mm.saliency.data.benchmarks import BENCHMARKS, Folders, find_folders


@DATASETS.register_module()
class SaliencyDataset(BaseDataset):
    """Pairs of an image and a mask of the same stem.

    Args:
        data_root: The folder that the prefixes are relative to, or that of the benchmark.
        data_prefix: ``img_path`` and ``mask_path``, folders below ``data_root``, and ``aux_path`` where there is a
            second modality (depth, thermal). ``images`` and ``masks`` by default.
        benchmark: Name of a public data set (see :mod:`sos_mm.saliency.data.benchmarks`), whose folders are then found
            as they were distributed. By default, without a ``data_prefix``, the last part of ``data_root`` if it is
            such a name.
        name: Name of the data set in results; by default the benchmark's, or the last part of ``data_root``.
        stems: Images to use: a list of file names without suffix, or a text file with one in each line (further words
            and suffixes are ignored). All by default.
        **kwargs: Arguments of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder is missing or without images, or an image has no mask or second image.
        ValueError: If two files share a stem, or the benchmark is not known.
    """

    METAINFO = dict(classes=("background", "salient"), palette=[[0, 0, 0], [255, 255, 255]])

    def __init__(
        self,
        data_root: str = "",
        data_prefix: dict | None = None,
        benchmark: str | None = None,
        name: str | None = None,
        stems: Iterable[str] | str | None = None,
        **kwargs,
    ):
        own = Path(data_root).name
        self.benchmark = benchmark or (own if own in BENCHMARKS and not data_prefix else None)
        self.name = name or self.benchmark or own
        self.stems = stems
        prefix = dict(img_path="", mask_path="") if self.benchmark else data_prefix
        super().__init__(
            data_root=data_root, data_prefix=prefix or dict(img_path="images", mask_path="masks"), **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """Lists ``img_path``, ``mask_path``, ``aux_path`` where there is one, and ``dataset_name`` of each image."""
        folders = find_folders(self.benchmark, self.data_root) if self.benchmark else self._given_folders()
        together = folders.images == folders.masks
        images = images_by_stem(folders.images, "The folder of images", (".jpg", ".jpeg") if together else ())
        parts = {"mask_path": images_by_stem(folders.masks, "The folder of masks", (".png",) if together else ())}
        if folders.auxiliary is not None:
            parts["aux_path"] = images_by_stem(folders.auxiliary, "The folder of second images")
        images = self._chosen(images)
        for key, what in (("mask_path", "mask"), ("aux_path", "second image")):
            if key in parts:
                _check_complete(images, parts[key], what)
        return [
            dict(
                img_path=str(path),
                dataset_name=self.name,
                **{key: str(files[stem]) for key, files in parts.items()},
            )
            for stem, path in images.items()
        ]

    def _given_folders(self) -> Folders:
        prefix = self.data_prefix
        auxiliary = Path(prefix["aux_path"]) if prefix.get("aux_path") else None
        return Folders(Path(prefix["img_path"]), Path(prefix["mask_path"]), auxiliary)

    def _chosen(self, images: dict[str, Path]) -> dict[str, Path]:
        if self.stems is None:
            return images
        stems = read_stems(self.stems) if isinstance(self.stems, str | Path) else list(self.stems)
        absent = [stem for stem in stems if stem not in images]
        if absent:
            raise FileNotFoundError(
                f"{len(absent)} of the {len(stems)} `stems` have no image in {self.data_root}, {absent[0]} first: "
                "correct the list."
            )
        return {stem: images[stem] for stem in sorted(stems)}


def read_stems(path: str | Path) -> list[str]:
    """Reads stems from a list of files, one a line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"`stems` must be a text file, but {path} does not exist.")
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    stems = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not stems:
        raise ValueError(f"`stems` must name images, but {path} is empty.")
    return stems


def images_by_stem(folder: str | Path, what: str, suffixes: tuple[str, ...] = ()) -> dict[str, Path]:
    """Lists the image files of a folder by stem, sorted, without hidden files (archives from other systems hold some).

    Args:
        folder: The folder.
        what: Name of the folder in error messages.
        suffixes: Suffixes of the files; all image suffixes if empty.

    Raises:
        FileNotFoundError: If there is no folder or no image in it.
        ValueError: If two files share a stem.
    """
    suffixes = suffixes or IMAGE_SUFFIXES
    stems: dict[str, Path] = {}
    for path in list_images(check_folder(folder, what), suffixes=suffixes):
        if path.stem in stems:
            raise ValueError(f"{stems[path.stem]} and {path} have the same stem: keep one of them.")
        stems[path.stem] = path
    if not stems:
        raise FileNotFoundError(f"{what} {folder} holds no image ({', '.join(suffixes)}).")
    return stems


def _check_complete(images: dict[str, Path], parts: dict[str, Path], what: str) -> None:
    missing = [path for stem, path in images.items() if stem not in parts]
    if missing:
        folder = next(iter(parts.values())).parent
        raise FileNotFoundError(
            f"{len(missing)} of {len(images)} images have no {what} in {folder}; the first is {missing[0]}: add "
            f"{missing[0].stem}.png there or remove the image."
        )
