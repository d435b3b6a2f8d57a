"""What each arm of `photograph_detection.py` trains on."""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from photograph_detection_data import TASKS

from sos_mm.synthesis import synthesize
from sos_mm.synthesis.recipe import Recipe


@TRANSFORMS.register_module()
class DropMasks(BaseTransform):
    """Removes the masks, which pasting needs, and from which a detector of boxes would take objects' centres."""

    def transform(self, results: dict) -> dict:
        """Removes the key ``gt_masks``."""
        return {key: value for key, value in results.items() if key != "gt_masks"}


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    Args:
        source: 'real', the labelled photographs, or 'composed', images composed of their objects.
        share: Of the iterations.
        copy_paste: Whether mmdet's `CopyPaste` is applied.
        paste: Options of `SegmentPaste`; None if it is not applied.
        bank: Options of its bank of the training photographs' own objects.
        others: Another bank in that one's place: 'sample', the bundled segments, or 'stamps', photographic cut-outs.
    """

    source: str = "real"
    share: float = 1.0
    copy_paste: bool = False
    paste: dict[str, Any] | None = None
    bank: dict[str, Any] = field(default_factory=dict)
    others: str | None = None


PLAIN: dict[str, Any] = dict(effects=())  # The default when the study began.
OWN_SIZES = dict(PLAIN, layout=dict(type="SourceSizeLayout", jitter=(0.8, 1.25)))
COMPLETE = dict(truncated=False)  # The same of the bank.
# The first four are compared; the others look for what helps.
ARMS: dict[str, tuple[Stage, ...]] = {
    "real": (Stage(),),
    "copy_paste": (Stage(copy_paste=True),),
    "paste": (Stage(paste=PLAIN),),
    "paste_effects": (Stage(paste={}),),
    "composed": (Stage("composed"),),
    "composed_then_real": (Stage("composed", 0.5), Stage(share=0.5)),
    # Other banks of the photographs' own objects: complete ones alone; also those that others occlude.
    "paste_complete": (Stage(paste=PLAIN, bank=COMPLETE),),
    "paste_complete_effects": (Stage(paste={}, bank=COMPLETE),),
    "composed_complete": (Stage("composed", bank=COMPLETE),),
    "paste_all_objects": (Stage(paste=PLAIN, bank=dict(max_bordering=1.0)),),
    # Of sizes: closer to those in the source.
    "paste_own_sizes": (Stage(paste=OWN_SIZES),),
    "paste_complete_own_sizes": (Stage(paste=OWN_SIZES, bank=COMPLETE),),
    # Of numbers: fewer objects; in every photograph; at first, and photographs alone at the end.
    "paste_few": (Stage(paste=dict(PLAIN, layout=dict(type="SourceSizeLayout", counts=(1, 3)))),),
    "paste_always": (Stage(paste=dict(PLAIN, prob=1.0)),),
    "paste_then_real": (Stage(share=0.7, paste=PLAIN), Stage(share=0.3)),
    # Of objects from elsewhere.
    "paste_sample": (Stage(paste=PLAIN, others="sample"),),
    "paste_stamps": (Stage(paste=PLAIN, others="stamps"),),
}


def arms_of(task: str, stamps: Path | None) -> list[str]:
    """Lists the arms that can be trained: other banks have no persons, and the stamps must be there."""
    missing = {"sample", "stamps"} if task == "person" else set() if stamps is not None else {"stamps"}
    return [name for name, stages in ARMS.items() if not missing & {stage.others for stage in stages}]


def bank_of(stage: Stage, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the bank that a stage pastes from."""
    data, photos = args.work_dir.absolute() / "data", args.photos.absolute()
    if stage.others is not None:
        return dict(type="folder", root=str(data / "banks" / stage.others))
    return dict(type="coco", annotations=str(data / "train.json"), images=str(photos / "train"), **stage.bank)


def composed_set(stage: Stage, args: argparse.Namespace, seed: int) -> None:
    """Composes the images of a stage, unless that is done or it needs none."""
    if stage.source == "composed":
        folder = composed_folder(stage, args, seed)
        synthesize(Recipe.from_dict(recipe_of(stage, args)), folder, args.composed, seed=seed, progress=False)


def recipe_of(stage: Stage, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the recipe of a stage's composed images."""
    return {
        "canvas": (480, 640),
        "segments": bank_of(stage, args),
        "backgrounds": dict(type="folder", root=str(args.work_dir.absolute() / "data/backgrounds")),
        "layout": dict(type="SourceSizeLayout", counts=(1, 8)),
        "effects": "default",
        "formats": ["coco"],
    }


def recipes() -> dict[str, dict[str, Any]]:
    """Returns the recipes of all composed images, as `same_recipes` takes them: their folders are the same for all."""
    args = argparse.Namespace(photos=Path("/photos"), work_dir=Path("/work"))
    stages = [stage for stages in ARMS.values() for stage in stages if stage.source == "composed"]
    return {set_of(stage): recipe_of(stage, args) for stage in stages}


def composed_folder(stage: Stage, args: argparse.Namespace, seed: int) -> Path:
    """Returns the folder of a stage's composed images."""
    return args.work_dir.absolute() / f"data/{set_of(stage)}-{seed}"


def set_of(stage: Stage) -> str:
    """Names the set of a stage's composed images."""
    return "composed_complete" if stage.bank == COMPLETE else "composed"


def batch_of(stage: Stage, args: argparse.Namespace, seed: int, scale: tuple[int, int], size: int) -> dict[str, Any]:
    """Returns the data loader of a stage.

    Args:
        stage: The stage.
        args: The command line.
        seed: Of the run.
        scale: Width and height that a photograph is scaled to fit into, times a jitter.
        size: Of the square crops, in pixels.
    """
    load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, with_mask=True)]
    if stage.paste is not None:
        load.append(dict(type="sos_mm.SegmentPaste", bank=bank_of(stage, args), **stage.paste))
    load += [
        dict(type="RandomResize", scale=scale, ratio_range=(0.6, 1.6), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(size, size), allow_negative_crop=True),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(size, size), pad_val=dict(img=(114, 114, 114))),
    ]
    end = [dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False)]
    end += [dict(type="PackDetInputs")] if args.masks else [dict(type="DropMasks"), dict(type="PackDetInputs")]
    dataset = dict(
        type="CocoDataset",
        **files(stage, args, seed),
        metainfo=dict(classes=TASKS[args.task].classes),
        # Photographs without any object of the classes are learned from too.
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=load if stage.copy_paste else load + end,
    )
    if stage.copy_paste:
        pasting = [dict(type="CopyPaste", max_num_pasted=100), *end]
        dataset = dict(type="MultiImageMixDataset", dataset=dataset, pipeline=pasting)
    return dict(
        batch_size=args.batch_size,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type="sos_mm.SourceRatioSampler", batch_size=args.batch_size, source_ratio=[1]),
        batch_sampler=None,
        dataset=dict(type="ConcatDataset", datasets=[dataset]),
    )


def files(stage: Stage, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Returns the annotation file and the image folder of a stage."""
    if stage.source == "composed":
        folder = composed_folder(stage, args, seed)
        return dict(ann_file=str(folder / "annotations/instances.json"), data_prefix=dict(img=f"{folder}/images/"))
    images = str(args.photos.absolute() / "train") + os.sep
    return dict(ann_file=str(args.work_dir.absolute() / "data/train.json"), data_prefix=dict(img=images))
