"""Times SegmentPaste against mmdet's CopyPaste, and a training pipeline with it against the detector's training step.

First: ten objects pasted into an image of 1024x1024 with ten objects, with bitmap masks, SegmentPaste and CopyPaste
alternating. The bank is an index with multi-resolution copies, and each segment is decoded again; CopyPaste gets its
ten objects decoded. The masks of both are then handed on as from a data worker, by pickle, and made a tensor. Also:
SegmentPaste where the masks of the image come in windows, as from `LoadWindowMasks`. Second: the time of each step of
the small detector's pipeline per image, and of the detector. Times are processor times of one thread; medians.
"""

import argparse
import copy
import pickle
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import process_time

import cv2
import numpy as np
import torch
from mmdet.datasets.transforms import CopyPaste
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config

from sos_mm import SegmentPaste
from sos_mm.detection import WindowMasks
from sos_mm.engine.randomness import RunRandomness
from sos_mm.errors import ErrorCollector
from sos_mm.segments import SegmentBank, build_bank, build_index
from sos_mm.segments.factory import list_records
from sos_mm.synthesis import Recipe, SceneMaker, synthesize
from sos_mm.synthesis.recipe import load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
TEN = dict(type="StructuredLayout", counts=(10, 10), crowded="fewer")
SIDE = 1024
COPIES = (64, 128, 256, 512)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="images of the first, and of the second, table")
    parser.add_argument("--bank", nargs="*", default=["type=sample"], help="KEY=VALUE of the bank to paste from")
    parser.add_argument("--data", type=Path, default=Path("work_dirs/segment_paste"), help="where its images go")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    register_all_modules()
    bank = dict(option.split("=", 1) for option in args.bank)
    show(beside_copy_paste(args.rounds, indexed(bank, args.data.with_suffix(".arrow"))))
    show(beside_a_detector(args.rounds, args.data))


def indexed(bank: dict, path: Path) -> dict:
    """Builds an index of a bank, from which every segment is decoded each time that it is drawn."""
    build_index(list_records(bank, ErrorCollector()), path, copies=COPIES, progress=False)
    return dict(type="index", path=str(path), cache_bytes=0)


def beside_copy_paste(rounds: int, bank: dict) -> dict[str, list[float]]:
    """Returns the seconds of each transform, one entry for each image."""
    maker = SceneMaker(Recipe(canvas=(SIDE, SIDE), layout=TEN), 0)
    names = list(build_bank(bank).categories)
    times = defaultdict(list)
    with timed_decoding() as decoding:
        # Without effects, as `CopyPaste` has none, and with the default ones.
        paste, lit = (
            SegmentPaste(bank=bank, classes=names, prob=1.0, layout=TEN, effects=effects) for effects in ((), "default")
        )
        paste.draws = lit.draws = RunRandomness(0)  # As `VisitHook` shares them.
        copy_paste = CopyPaste(selected=False)
        for index in range(rounds + 3):
            # Both modify the lists of a sample, and CopyPaste its arrays.
            image, other = (as_sample(maker.make(2 * index + k), names) for k in (0, 1))
            decoding[0] = 0.0
            seconds, pasted = timed(paste, {**image, "img_path": f"{index}.jpg"})
            decoded = decoding[0]
            both = copy.deepcopy(image) | {"mix_results": [copy.deepcopy(other)]}
            seconds_copy, copied = timed(copy_paste.transform, both)
            seconds_lit, _ = timed(lit, {**image, "img_path": f"{index}.jpg"})
            decoding[0] = 0.0
            windowed = {**image, "gt_masks": in_windows(image["gt_masks"]), "img_path": f"{index}.jpg"}
            seconds_windowed, _ = timed(paste, windowed)
            decoded_windowed = decoding[0]
            if index < 3:
                continue
            times["SegmentPaste"].append(seconds)
            times["  of that, decoding its segments"].append(decoded)
            times["  beside it"].append(seconds - decoded)
            times["  its masks, sent, to a tensor"].append(timed(handed_on, pasted)[0])
            times["CopyPaste, nothing decoded"].append(seconds_copy)
            times["  CopyPaste's, sent, to a tensor"].append(timed(handed_on, copied)[0])
            times["SegmentPaste, default effects"].append(seconds_lit)
            times["SegmentPaste, masks in windows"].append(seconds_windowed)
            times["  beside decoding"].append(seconds_windowed - decoded_windowed)
    return times


def handed_on(results: dict) -> torch.Tensor:
    """Hands the masks of a sample on, as a data worker does to the training process, and makes a tensor of them."""
    return pickle.loads(pickle.dumps(results["gt_masks"])).to_tensor(torch.uint8, "cpu")


def as_sample(scene, names: list[str]) -> dict:
    """Converts a scene to a sample as mmdet's loading transforms return it."""
    masks = np.stack([scene.modal_mask(index) for index in range(len(scene.objects))]).astype(np.uint8)
    return {
        "img": cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR),
        "img_shape": scene.size,
        "gt_bboxes": HorizontalBoxes(np.array([each.box for each in scene.objects], np.float32)),
        "gt_bboxes_labels": np.array([names.index(each.category) for each in scene.objects]),
        "gt_ignore_flags": np.zeros(len(scene.objects), bool),
        "gt_masks": BitmapMasks(masks, *scene.size),
    }


def in_windows(masks: BitmapMasks) -> WindowMasks:
    """Converts masks to windows, as `LoadWindowMasks` loads them."""
    boxes = masks.get_bboxes("hbox").tensor.numpy().astype(int)
    parts = [mask[y0:y1, x0:x1].copy() for mask, (x0, y0, x1, y1) in zip(masks.masks, boxes, strict=True)]
    return WindowMasks.from_windows(boxes, parts, masks.height, masks.width)


def beside_a_detector(rounds: int, data: Path) -> dict[str, list[float]]:
    """Returns the seconds per image of each step of the small detector's pipeline with SegmentPaste, and of the
    detector.
    """
    config = Config.fromfile(CONFIGS / "detection/sample_rtmdet_ins.py")
    recipe = load_recipe(CONFIGS / "synthesis/sample_ten.py")
    synthesize(recipe, data, 64, progress=False)
    dataset = config.train_dataloader.dataset
    line = dict(type="sos_mm.SegmentPaste", bank=recipe.segments, classes=config.classes, layout=recipe.layout)
    dataset.pipeline.insert(2, dict(line, prob=1.0))
    dataset.data_root = str(data)
    dataset = DATASETS.build(dataset)
    times, batches, size = defaultdict(list), [], config.train_dataloader.batch_size
    for index in range(rounds * size):
        results, whole = dataset.get_data_info(index % len(dataset)), 0.0
        for step in dataset.pipeline.transforms:
            seconds, results = timed(step, results)
            times["  " + type(step).__name__].append(seconds)
            whole += seconds
        times["loading an image"].append(whole)
        batches.append(results)
    model = MODELS.build(config.model).train()
    optimizer = torch.optim.AdamW(model.parameters())
    for start in range(0, min(len(batches), 6 * size), size):
        batch = {key: [each[key] for each in batches[start : start + size]] for key in ("inputs", "data_samples")}
        seconds, _ = timed(step_once, model, optimizer, batch)
        times["training on an image"].append(seconds / size)
    return times


def step_once(model, optimizer, batch: dict) -> None:
    """Runs a training step."""
    losses = model(**model.data_preprocessor(batch, True), mode="loss")
    loss, _ = model.parse_losses(losses)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@contextmanager
def timed_decoding():
    """Yields a list of one number to which the time of loading segments is added."""
    taken, load = [0.0], SegmentBank.load

    def loading(self, *wanted):
        seconds, segment = timed(load, self, *wanted)
        taken[0] += seconds
        return segment

    SegmentBank.load = loading
    try:
        yield taken
    finally:
        SegmentBank.load = load


def timed(run, *inputs) -> tuple[float, object]:
    """Returns the processor seconds of a call, and its result."""
    start = process_time()
    result = run(*inputs)
    return process_time() - start, result


def show(times: dict[str, list[float]]) -> None:
    """Prints milliseconds."""
    for name, seconds in times.items():
        print(f"{name:<36}{1000 * median(seconds):>9.2f} ms   (least {1000 * min(seconds):.2f})")
    print()


if __name__ == "__main__":
    main()
