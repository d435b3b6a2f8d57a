"""Times SegmentPaste beside mmdet's CopyPaste, and a training pipeline with it beside the detector that it feeds.

First: ten objects into an image of 1024x1024 that shows ten, with bitmap masks, SegmentPaste and CopyPaste in turn.
The bank is an index with reduced copies, and each segment is decoded anew; CopyPaste gets its ten objects decoded.
Then: what each step of the small detector's pipeline takes an image, and what the detector does. Times are of the
processor, one thread; medians.
"""

import argparse
import copy
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
    """Returns an index of a bank, from which every segment is decoded each time that it is drawn."""
    build_index(list_records(bank, ErrorCollector()), path, copies=COPIES, progress=False)
    return dict(type="index", path=str(path), cache_bytes=0)


def beside_copy_paste(rounds: int, bank: dict) -> dict[str, list[float]]:
    """Seconds of each, an entry an image."""
    maker = SceneMaker(Recipe(canvas=(SIDE, SIDE), layout=TEN), 0)
    names = list(build_bank(bank).categories)
    times = defaultdict(list)
    with timed_decoding() as decoding:
        paste = SegmentPaste(bank=bank, classes=names, prob=1.0, layout=TEN)
        paste.draws = RunRandomness(0)  # As `VisitHook` shares them.
        copy_paste = CopyPaste(selected=False)
        for index in range(rounds + 3):
            # Both change the lists of a sample, and CopyPaste its arrays.
            image, other = (as_sample(maker.make(2 * index + k), names) for k in (0, 1))
            decoding[0] = 0.0
            seconds, _ = timed(paste, {**image, "img_path": f"{index}.jpg"})
            both = copy.deepcopy(image) | {"mix_results": [copy.deepcopy(other)]}
            seconds_copy, _ = timed(copy_paste.transform, both)
            if index < 3:
                continue
            times["SegmentPaste"].append(seconds)
            times["  of that, decoding its segments"].append(decoding[0])
            times["  beside it"].append(seconds - decoding[0])
            times["CopyPaste, nothing decoded"].append(seconds_copy)
    return times


def as_sample(scene, names: list[str]) -> dict:
    """Returns a scene as mmdet's loaders hand it on."""
    masks = np.stack([scene.modal_mask(index) for index in range(len(scene.objects))]).astype(np.uint8)
    return {
        "img": cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR),
        "img_shape": scene.size,
        "gt_bboxes": HorizontalBoxes(np.array([each.box for each in scene.objects], np.float32)),
        "gt_bboxes_labels": np.array([names.index(each.category) for each in scene.objects]),
        "gt_ignore_flags": np.zeros(len(scene.objects), bool),
        "gt_masks": BitmapMasks(masks, *scene.size),
    }


def beside_a_detector(rounds: int, data: Path) -> dict[str, list[float]]:
    """Seconds an image of each step of the small detector's pipeline with SegmentPaste, and of the detector."""
    config = Config.fromfile(CONFIGS / "detection/sample_rtmdet_ins.py")
    recipe = load_recipe(CONFIGS / "synthesis/sample_ten.py")
    synthesize(recipe, data, 64, progress=False)
    dataset = config.train_dataloader.dataset
    line = dict(type="sos_mm.SegmentPaste", bank=recipe.segments, classes=config.classes, layout=recipe.layout)
    dataset.pipeline.insert(2, dict(line, prob=1.0, effects="default"))
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
    """Returns a step of training."""
    losses = model(**model.data_preprocessor(batch, True), mode="loss")
    loss, _ = model.parse_losses(losses)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@contextmanager
def timed_decoding():
    """Returns a list of one number to which the seconds are added that banks take to load segments."""
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
    """Seconds of the processor that a run takes, and what it gives."""
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
