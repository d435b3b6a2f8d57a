"""Pastes objects of a segment bank into the images of a pipeline."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS

from sos_mm.augmentation.adapters import (
    Pasted,
    boxes_like,
    check_holds,
    cover,
    paint_labels,
    paint_saliency,
    plain_boxes,
)
from sos_mm.augmentation.captions import caption_holds, estimated_tokens, possible_phrases, within_tokens
from sos_mm.augmentation.label_mapper import UNKNOWN, Caption, class_names, names_of_labels
from sos_mm.augmentation.paste_source import PasteSource
from sos_mm.augmentation.rules import Rules
from sos_mm.augmentation.sample_checks import check_sample
from sos_mm.augmentation.schedules import Window, at_epoch, turning_epochs
from sos_mm.augmentation.word_safe import collect_words
from sos_mm.checks import check_boolean, check_choice, check_integer, check_names, check_range, one_name, require
from sos_mm.composition.compositor import render, resolve_visibility
from sos_mm.composition.effects.step import build_steps
from sos_mm.composition.layouts.prior import LayoutError, LayoutPrior, build_layout
from sos_mm.composition.layouts.source_size import SourceSizeLayout
from sos_mm.composition.layouts.structured import StructuredLayout
from sos_mm.composition.planning import draft_and_redraw, plan_and_load
from sos_mm.composition.scene import Scene
from sos_mm.composition.true_words import endangered_kinds
from sos_mm.engine.randomness import DrawsFromRun, RepeatIndex
from sos_mm.seeding import Purpose, generator, image_id
from sos_mm.segments.factory import check_bank, check_sampling
from sos_mm.segments.protocol import Bank
from sos_mm.segments.vocabulary import check_vocabulary
from sos_mm.segments.words import ENDANGERED


@TRANSFORMS.register_module()
class SegmentPaste(DrawsFromRun, BaseTransform):
    """Pastes objects into an image, and updates all its annotations.

    Layout, scaling, masks, effects and the truth of texts are those of the composition engine: an object is not
    mirrored or rotated if that would falsify a word, and words that its pixels no longer support are dropped from its
    phrase; see `compose`. Nothing is pasted if an effect would falsify a word of the sample's own caption. Original
    objects lose the pixels that are covered; objects with too small a visible part are dropped, and their phrases stay
    in the caption as negative phrases. Put the transform after the loading of annotations, before or after resizing.
    Input arrays are never changed in place, and keep their dtypes.

    Required Keys:

    - img (np.ndarray): (H, W, 3), uint8, or floats in [0, 255]

    Modified Keys, each optional:

    - img
    - gt_bboxes (HorizontalBoxes or np.ndarray of float32 xyxy)
    - gt_bboxes_labels (np.int64)
    - gt_ignore_flags (bool)
    - gt_masks (BitmapMasks, which become `WindowMasks`; `WindowMasks`; PolygonMasks; or an array (N, H, W))
    - gt_seg_map (np.ndarray): gets the pasted objects' labels
    - gt_saliency (np.ndarray)
    - text, phrases: of ODVG data; the pasted objects' phrases are added to grounding captions

    Args:
        bank: The bank of pasted objects: a dict for `sos_mm.build_bank`, such as ``dict(type='sample')``. Objects of
            the data set's own other images are ``dict(type='coco', annotations=..., images=...)`` with its own files.
        classes: The data set's classes in the order of their labels: names, 'coco', 'lvis', or a COCO or LVIS
            annotation file. By default those of the data set's metainfo, which needs `VisitHook`. ODVG data contain
            their classes.
        unknown: What to do with categories that are none of the classes: 'error'; 'skip' does not paste them; 'append'
            gives them labels after the last class.
        prob: Probability that anything is pasted.
        layout: Prior of positions, sizes and number of objects: a dict for `build_layout`. By default 1 to 10 objects,
            placed by `SourceSizeLayout` if the bank was cut from images, such as a data set's own, otherwise by
            `StructuredLayout`. If not all objects can be placed, fewer are pasted, unless it has ``crowded='raise'``.
        max_enlargement: Largest factor by which the pixels of a segment are enlarged, unless ``layout`` sets another;
            None for no limit.
        sampling: How segments are drawn: 'category', 'uniform', 'weighted' or 'single_category'.
        effects: Light, shadows, edges and other effects: a list for `build_steps`, or 'default'; () for none.
            The old name ``light`` is accepted.
        min_visible_share: Least visible share of an object, pasted or original.
        min_area: Least number of its visible pixels.
        start_epoch: Epoch, from 0, in which pasting begins.
        warmup_epochs: Number of epochs over which the probability rises linearly to ``prob``.
        stop_epoch: Epoch in which pasting ends; None for never.
        saliency: Value of pasted objects in ``gt_saliency``: 0 makes them distractors.
        with_mask: Whether ``gt_masks`` are required; by default they are updated if they exist.
        max_tokens: Token limit of captions, including the two special tokens that language models add; objects whose
            phrases would exceed it are not pasted.
        tokenizer: Name or folder of the tokenizer that counts; without it the number is estimated from letters.
        channel_order: 'bgr', as in OpenMMLab's pipelines, or 'rgb'.
        seed: Seed of the draws if no `VisitHook` shares that of the run.

    ``prob``, ``layout`` with all that is in it, ``max_enlargement``, ``min_visible_share`` and ``min_area`` may be, or
    contain, schedules over epochs (see `sos_mm.augmentation.schedules`): a curriculum that pastes more, smaller or more
    occluded objects from epoch to epoch, such as ``layout=dict(type='StructuredLayout', counts=dict(type='Linear',
    begin=[1, 2], end=[1, 10], stop=12))``. They need `VisitHook` and a run that counts epochs.

    With ``custom_hooks=[dict(type='sos_mm.VisitHook')]`` every draw depends only on (run seed; image, epoch), with any
    number of workers; images are identified by their file names, independent of their folder. Without it the epoch is
    not known: draws then also depend on the worker's torch seed, as those of other transforms do.

    Raises:
        FileNotFoundError: If ``classes`` is a text that is neither a vocabulary nor a file.
        ValueError: If an argument is invalid, in any epoch.
    """

    def __init__(
        self,
        bank: Mapping[str, Any],
        classes: str | Sequence[str] | None = None,
        unknown: str = "error",
        prob: float | Mapping[str, Any] = 0.5,
        layout: Mapping[str, Any] | None = None,
        max_enlargement: float | Mapping[str, Any] | None = 1.5,
        sampling: str = "category",
        effects: str | Sequence[Mapping[str, Any]] | None = "default",
        min_visible_share: float | Mapping[str, Any] = 0.5,
        min_area: int | Mapping[str, Any] = 16,
        start_epoch: int = 0,
        warmup_epochs: int = 0,
        stop_epoch: int | None = None,
        saliency: float = 1.0,
        with_mask: bool = False,
        max_tokens: int = 256,
        tokenizer: str | None = None,
        channel_order: str = "bgr",
        seed: int = 0,
        light: str | Sequence[Mapping[str, Any]] | None = None,
    ):
        check_bank(bank)
        check_choice("unknown", unknown, UNKNOWN)
        check_sampling(sampling, bank)
        check_choice("channel_order", channel_order, ("bgr", "rgb"))
        check_range("saliency", saliency, 0, 1)
        check_integer("max_tokens", max_tokens, 1, 2**31)
        check_integer("seed", seed, 0, 2**31)
        check_boolean("with_mask", with_mask)
        if isinstance(classes, str):
            check_vocabulary(classes)
        elif classes is not None:
            check_names("classes", classes)
        self.bank, self.classes, self.unknown = bank, classes, unknown
        self.sampling = sampling
        # `light` alone replaces the default; beside other effects it is refused.
        default = light is not None and effects == "default"
        effects = one_name("effects", None if default else effects, "light", light)
        self.steps = build_steps([effects] if isinstance(effects, str) else effects)
        self._kinds = endangered_kinds(self.steps) | ENDANGERED["see_through"]
        self._schedulable = {
            "prob": prob,
            "layout": layout,
            "max_enlargement": max_enlargement,
            "min_visible_share": min_visible_share,
            "min_area": min_area,
        }
        epochs = turning_epochs(self._schedulable, typed=("layout",))
        self.is_scheduled = bool(epochs)
        # All of them, so that a wrong value is not found hours later.
        for epoch in sorted(epochs | {0}, reverse=True):
            self._set_options(epoch)
        self.window = Window(start_epoch, warmup_epochs, stop_epoch)
        self.saliency, self.with_mask = saliency, with_mask
        self.max_tokens, self.tokenizer = max_tokens, tokenizer
        self.channel_order, self.seed = channel_order, seed
        self.metainfo: Mapping[str, Any] | None = None
        self._opened: dict[tuple[str, ...] | None, PasteSource] = {}
        self._label_maps: list[tuple[Mapping[str, str], PasteSource]] = []
        self._named: tuple[str, ...] | None = None
        self._tokenize: Callable[[str], Sequence] | None = None
        self._told = False

    def _set_options(self, epoch: int) -> None:
        """Sets the options that may be schedules to their values in an epoch.

        Raises:
            ValueError: If a value is invalid.
        """
        options = at_epoch(self._schedulable, epoch)
        for name in ("prob", "min_visible_share"):
            check_range(name, options[name], 0, 1)
        check_integer("min_area", options["min_area"], 1, 2**31)
        layout, most = options["layout"], options["max_enlargement"]
        if most is not None:
            check_range("max_enlargement", most, 0.01, 1000)
        self.layout = None if layout is None else _build_layout(layout, most)
        self.prob, self.max_enlargement = options["prob"], most
        self.rules = Rules(options["min_visible_share"], options["min_area"])
        self._epoch = epoch

    def __getstate__(self) -> dict[str, Any]:
        # Each process opens its own bank, which is free for a memory-mapped index.
        return {**self.__dict__, "_opened": {}, "_label_maps": [], "_tokenize": None}

    def transform(self, results: dict) -> dict:
        """Pastes objects, or returns the sample unchanged.

        Raises:
            ValueError: If an annotation has a type or size that is not supported, masks are missing although
                ``with_mask`` requires them, the bank has a category that is none of the classes, or the sample has
                further annotations of objects, such as ``gt_keypoints``.
            RuntimeError: If an option depends on the epoch and `VisitHook` is missing.
            LayoutError: If not all objects can be placed and the layout has ``crowded='raise'``.
        """
        check_sample(results, self.with_mask)
        if self.is_scheduled and self._epoch != (epoch := self._current_epoch("Schedules")):
            self._set_options(epoch)
        rng = self._generator(results)
        if rng.random() >= self.prob * self._progress():
            return results
        source, image = self._source(results), self._image(results["img"])
        scene = self._compose(image, source, results, rng)
        if scene is None or not scene.objects or self._falsifies(results, scene):
            return results
        named = source.mapper.name(scene.objects, results.get("text"), results.get("phrases"))
        results = {**results, **named.words}
        self._annotate(results, Pasted(scene, np.array(named.labels, np.int64)))
        results["img"] = self._to_pipeline(results["img"], image, scene.image)
        return results

    def _image(self, image: np.ndarray) -> np.ndarray:
        """Returns a copy of the image, (H, W, 3) uint8, in the channel order for composition."""
        if image.dtype != np.uint8:
            image = np.rint(image).clip(0, 255).astype(np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if self._reversed else image.copy()

    @property
    def _reversed(self) -> bool:
        """Whether images are converted from BGR to RGB before composition; only effect steps depend on the order."""
        return self.channel_order == "bgr" and bool(self.steps)

    def _generator(self, results: dict) -> np.random.Generator:
        """Returns the generator of this image, keyed by its name, so that draws do not depend on its index in a data
        set.
        """
        name, index = results.get("img_path"), results.get("sample_idx", 0)
        key = RepeatIndex(image_id(Path(name).name) if name else index, getattr(index, "visit", None))
        if self.draws is not None:
            return self.draw(Purpose.PASTE, key)
        if key.visit is not None:
            return generator(self.seed, Purpose.PASTE, key, key.visit)
        if not self._told:
            self._told = True
            print_log(
                "SegmentPaste was given no run seed and epoch, so its draws depend on the number of workers: add "
                "`custom_hooks = [dict(type='sos_mm.VisitHook')]` for the same ones with any number.",
                logger="current",
                level=logging.WARNING,
            )
        return generator(self.seed, Purpose.PASTE, key, int(torch.randint(2**31, ())))

    def _progress(self) -> float:
        """Returns the factor on the probability in this epoch, from start, warm-up and stop."""
        if self.window.is_always:
            return 1.0
        return self.window.factor(self._current_epoch("`start_epoch`, `warmup_epochs` and `stop_epoch`"))

    def _current_epoch(self, what: str) -> int:
        if self.draws is None:
            raise RuntimeError(
                f"{what} need to know the epoch: add `custom_hooks = [dict(type='sos_mm.VisitHook')]` to the config."
            )
        return self.draws.epoch

    def _source(self, results: dict) -> PasteSource:
        """Returns the segments for this sample's classes; opened once for each set of classes."""
        if "phrases" in results or not ({"gt_bboxes_labels", "gt_seg_map"} & results.keys()):
            return self._open(None)
        text = results.get("text")
        if not isinstance(text, Mapping):
            return self._open(self._classes())
        # Compared before they are parsed: each image may list tens of thousands.
        for known, source in self._label_maps:
            if text == known:
                return source
        source = self._open(names_of_labels(text))
        self._label_maps.append((dict(text), source))
        return source

    def _open(self, classes: tuple[str, ...] | None) -> PasteSource:
        if classes not in self._opened:
            self._opened[classes] = PasteSource(self.bank, classes, self.unknown)
        return self._opened[classes]

    def _classes(self) -> tuple[str, ...]:
        if self.classes is not None:
            if self._named is None:
                self._named = class_names(self.classes)
            return self._named
        classes = (self.metainfo or {}).get("classes")
        if not classes:
            raise ValueError(
                "`classes` must name the data set's classes, such as `classes='coco'`; with "
                "`custom_hooks = [dict(type='sos_mm.VisitHook')]` they are those of its metainfo, if it has any."
            )
        return tuple(classes)

    def _compose(self, image: np.ndarray, source: PasteSource, results: dict, rng: np.random.Generator) -> Scene | None:
        """Composes the image with objects; returns None if no object can be placed."""
        prior, canvas = self.layout or default_layout(source.bank, self.max_enlargement), image.shape[:2]
        drawn = source.draw(rng, prior.draw_count(rng), self.sampling, results.get("img_path"))
        allowed = partial(source.is_foreign, results.get("img_path"))
        try:
            draft, drawn = draft_and_redraw(prior, rng, source.bank, drawn, canvas, allowed=allowed)
            if "phrases" in results:
                recolors = getattr(prior, "hue", 0) > 0
                phrases = (possible_phrases(source.record(index), self._kinds, recolors) for index in drawn)
                caption = Caption(results["text"], results["phrases"])
                fitting = within_tokens(caption, phrases, self.max_tokens, self._count_tokens)
                draft, drawn = draft.take(fitting), [drawn[position] for position in fitting]
            layout, segments = plan_and_load(prior, rng, source.bank, drawn, canvas, draft)
        except LayoutError:
            if getattr(prior, "crowded", "fewer") == "raise":
                raise
            return None
        visibility = resolve_visibility(
            layout,
            segments,
            min_visible_share=self.rules.min_visible_share,
            min_area=min(self.rules.min_area, image.shape[0] * image.shape[1]),
        )
        return render(
            image,
            visibility,
            steps=self.steps,
            rng=rng,
            channel_order="rgb" if self._reversed else self.channel_order,
            in_place=results["img"].dtype == np.uint8,  # For float images the original is needed again.
        )

    def _count_tokens(self, text: str) -> int:
        if self.tokenizer is None:
            return estimated_tokens(text)
        if self._tokenize is None:
            transformers = require("transformers", "`tokenizer`", "pip install transformers")
            self._tokenize = transformers.AutoTokenizer.from_pretrained(self.tokenizer).tokenize
        return len(self._tokenize(text))

    def _falsifies(self, results: dict, scene: Scene) -> bool:
        """Returns whether effects make words of a caption false about the image's original objects."""
        said: list[str] = []
        for key in ("text", "phrases"):
            collect_words(results.get(key), said, [])
        if not self.steps or not said:
            return False
        boxes = plain_boxes(results["gt_bboxes"]) if "gt_bboxes" in results else np.zeros((0, 4), np.float32)
        kinds = endangered_kinds(self.steps)
        return not caption_holds(said, self._image(results["img"]), scene, boxes, kinds)

    def _annotate(self, results: dict, pasted: Pasted) -> None:
        """Replaces the annotations of a sample by updated ones."""
        if "gt_seg_map" in results:
            results["gt_seg_map"] = paint_labels(results["gt_seg_map"], pasted)
        if "gt_saliency" in results:
            results["gt_saliency"] = paint_saliency(results["gt_saliency"], pasted, self.saliency)
        if "gt_bboxes" not in results:
            return
        boxes = results["gt_bboxes"]
        covered = cover(results.get("gt_masks"), plain_boxes(boxes), pasted, self.rules)
        kept = np.concatenate([covered.boxes[covered.kept], pasted.boxes])
        results["gt_bboxes"] = boxes_like(boxes, kept)
        if covered.masks is not None:
            results["gt_masks"] = covered.masks
        for key, new in (("gt_bboxes_labels", pasted.labels), ("gt_ignore_flags", np.zeros(len(pasted.labels), bool))):
            if key in results:
                old = results[key]
                if old.dtype.kind in "iu":
                    check_holds(key, old.dtype, np.iinfo(old.dtype).max, new)
                results[key] = np.concatenate([old[covered.kept], new.astype(old.dtype)])

    def _to_pipeline(self, original: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Converts the new image to the channel order and dtype of the pipeline; floats change only where something was
        pasted.
        """
        image = cv2.cvtColor(after, cv2.COLOR_RGB2BGR) if self._reversed else after
        if original.dtype == np.uint8:
            return image
        changed = (before != after).any(axis=2, keepdims=True)
        return np.where(changed, image.astype(original.dtype), original)


def _build_layout(config: Mapping[str, Any], max_enlargement: float | None) -> LayoutPrior:
    """Builds a prior that by default places fewer objects if not all fit, and limits their enlargement.

    Raises:
        ValueError: From `build_layout`.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"`layout` must be a dict with a `type`, as dict(type='RandomLayout'), but got {config!r}.")
    prior: Any = build_layout({"max_enlargement": max_enlargement, **config})
    return replace(prior, crowded="fewer") if hasattr(prior, "crowded") and "crowded" not in config else prior


def default_layout(bank: Bank, max_enlargement: float | None) -> LayoutPrior:
    """Returns the default layout of a bank: 1 to 10 objects; cut-outs of images keep their size relative to their
    image.
    """
    kind: type[SourceSizeLayout | StructuredLayout] = SourceSizeLayout if bank.has_source_sizes else StructuredLayout
    return kind(counts=(1, 10), max_enlargement=max_enlargement, crowded="fewer")
