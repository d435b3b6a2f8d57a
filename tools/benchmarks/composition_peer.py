"""Compares with the generator that SOS released, alternating in one run: images per second of both, and their ratio.

git clone https://github.com/weikaih04/SOS peer && git -C peer checkout 31918e0
pip install pandas shapely matplotlib tqdm
apt-get install --no-install-recommends tuxpaint-stamps-default mate-backgrounds
mkdir CUTOUTS && cd /usr/share/tuxpaint/stamps && find animals food vehicles -name '*.png' -not -path '*cartoon*' \
    | tar -cT - | tar -xC CUTOUTS
python tools/benchmarks/composition_peer.py --peer peer --segments CUTOUTS --backgrounds PHOTOS
python tools/benchmarks/composition_peer.py --peer peer --segments CUTOUTS --backgrounds PHOTOS --enlarge 5000

CUTOUTS holds RGBA files as <category>/<name>.png, such as those 195; PHOTOS photographs, such as
/usr/share/backgrounds/mate/nature. Both make 1024x1024 images of 5 to 19 objects in
one process: the peer an RGBA image without background and a mask, both PNG; ours a JPEG on a photograph, a panoptic PNG
and the run lengths of all modal and amodal masks. Wall-clock times mean little on a shared machine, so processor times
of all threads of the process are measured as well.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sos_mm.composition.compositor import _find_visible
from sos_mm.composition.place import place
from sos_mm.errors import ErrorCollector
from sos_mm.segments import SegmentBank, build_index
from sos_mm.segments.factory import list_records
from sos_mm.synthesis import Recipe, synthesize
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.shards import shard_folder, write_shard
from sos_mm.terminal import progress_bar

CANVAS = (1024, 1024)
COUNTS = (5, 19)
# Longest sides of the multi-resolution copies in our index.
COPIES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
_ROUNDS = 5


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="checkout of the released generator; without it ours alone is timed")
    parser.add_argument("--segments", required=True, help="folder of cut-outs, <category>/<name>.png")
    parser.add_argument("--backgrounds", required=True, help="folder of photographs, for ours")
    parser.add_argument("--folder", help="where to write what is needed on the way, up to 14 GB; removed at the end")
    parser.add_argument("--enlarge", type=int, default=0, help="make so many distinct ones with a side of 1000 pixels")
    parser.add_argument("--images", type=int, default=40, help="images of ours in each of the five rounds")
    parser.add_argument("--memory", type=int, default=0, help="make so many images and say how memory grows")
    parser.add_argument("--only-rounds", action="store_true", help="compare with the peer, and time nothing else")
    parser.add_argument("--prepared", help="folder that keeps the cut-outs and their index for the next run")
    return parser.parse_args()


def lay_out(source: Path, root: Path, enlarge: int) -> Path:
    """Writes cut-outs as <category>/<sub-category>/<sub-category>_0.png, and their metadata;
    returns the metadata file.
    """
    records = list_records({"type": "folder", "root": str(source)}, ErrorCollector("skip"))
    words, number = {}, enlarge or len(records)
    for index in progress_bar(range(number), total=number, unit="cut-outs"):
        record = records[index % len(records)]
        category, sub = record.category, f"kind{index:05d}"
        path = root / category / sub / f"{sub}_0.png"
        path.parent.mkdir(parents=True)
        write_cutout(record.path, path, 1000 if enlarge else 0, index // len(records))
        words[f"{category}_{sub}"] = {"description": category, "short_phrase": category, "features": [category]}
    metadata = root.parent / "metadata.json"
    metadata.write_text(json.dumps(words))
    return metadata


def prepare(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Lays out the cut-outs and their index, unless an earlier run did; returns the index and the metadata file."""
    bank, metadata = folder / "bank.arrow", folder / "metadata.json"
    if not bank.exists():
        folder.mkdir(parents=True, exist_ok=True)
        lay_out(Path(args.segments), folder / "segments", args.enlarge)
        config = {"type": "release", "root": str(folder / "segments"), "metadata": str(metadata)}
        build_index(list_records(config, ErrorCollector()), bank, copies=COPIES, workers=2)
    return bank, metadata


def write_cutout(source: Path, target: Path, side: int, turn: int) -> None:
    """Writes a cut-out as an RGBA file for the peer, optionally with another longer side and rotated hues."""
    rgba = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    if side:
        scale = side / max(rgba.shape[:2])
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    hsv = cv2.cvtColor(rgba[..., :3], cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 11 * turn) % 180
    cv2.imwrite(str(target), np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), rgba[..., 3]]), (16, 1))


class Peer:
    """The released generator on a prepared folder."""

    def __init__(self, checkout: Path, root: Path, metadata: Path, out: Path):
        sys.path.insert(0, str(checkout))
        with contextlib.redirect_stdout(io.StringIO()):
            from datasets.data_manager import DataManager
            from datasets.object_datasets import SyntheticDataset
            from scripts import generate_with_batch as generator

            cache = str(out / "peer.pkl")
            data = SyntheticDataset(str(root), synthetic_annotation_path=str(metadata), cache_path=cache)
            keep = {"IsInstance": "non-filter", "Integrity": "non-filter", "QualityAndRegularity": "non-filter"}
            self.manager = DataManager({"SyntheticDatasetPlaceHolder": data}, {}, keep)
        self.generator, self.keep, self.done = generator, keep, 0
        self.folders = [str(out / name) for name in ("images", "masks", "annotations")]
        for folder in self.folders:
            os.makedirs(folder)

    def make(self, number: int) -> None:
        """Generates so many more images."""

        class Counter:
            def put(self, _):
                """Counts an image: the peer reports its progress here."""

        span = self.done, self.done + number
        self.generator.process_image_worker(*span, self.done, self.keep, Counter(), *self.folders, self.manager)
        self.done += number


class Ours:
    """The engine on an index of the same cut-outs, with or without effects."""

    def __init__(self, recipe: Recipe, out: Path):
        self.maker, self.out, self.done, self.shards = ShardMaker(recipe, 0), out, 0, 0
        shard_folder(out, 0).parent.mkdir(parents=True)

    def make(self, number: int) -> None:
        """Generates so many more images."""
        write_shard(self.out, self.shards, self.maker._images(range(self.done, self.done + number)))
        self.done, self.shards = self.done + number, self.shards + 1


def timed(call: Callable[[int], None], number: int) -> tuple[float, float]:
    """Returns wall-clock and processor seconds per image."""
    start = time.perf_counter(), time.process_time()
    call(number)
    end = time.perf_counter(), time.process_time()
    return (end[0] - start[0]) / number, (end[1] - start[1]) / number


def compare(contestants: dict[str, tuple[Callable[[int], None], int]]) -> None:
    """Prints the rates of alternating rounds: of the first, when all caches are cold, of all, and the median."""
    seconds = {name: [] for name in contestants}
    for _ in range(_ROUNDS):
        for name, contestant in contestants.items():
            seconds[name].append(timed(*contestant))
    for what, column in (("second of the clock", 0), ("second of the processor", 1)):
        print(f"\n{'images a ' + what:34s} {'first':>8s} {'all':>8s} {'median':>8s} {'ratio':>8s}")
        medians = {name: statistics.median(each[column] for each in seconds[name]) for name in seconds}
        first = next(iter(medians.values()))
        for name, median in medians.items():
            rounds = [each[column] for each in seconds[name]]
            print(f"{name:34s} {1 / rounds[0]:8.1f} {1 / statistics.mean(rounds):8.1f}", end="")
            print(f" {1 / median:8.1f} {first / median:8.1f}")
    print()


def time_parts(recipe: Recipe) -> None:
    """Times the layout of 12 boxes, and the visibility of 12 sprites."""
    maker = ShardMaker(recipe, 0).scenes
    rng = np.random.default_rng(0)
    plans, checks = [], []
    for _ in range(100):
        segments = [maker.bank.load(index) for index in maker.bank.sample(rng, 12)]
        start = time.perf_counter()
        layout = maker.layout.plan(rng, segments, CANVAS)
        plans.append(time.perf_counter() - start)
        sprites = [place(segments[planned.segment], planned, CANVAS) for planned in layout.placements]
        start = time.perf_counter()
        _find_visible(sprites, CANVAS, 0.5, 16, False)
        checks.append(time.perf_counter() - start)
    print(f"layout of 12 boxes {statistics.median(plans) * 1e3:.2f} ms, its mask check ", end="")
    print(f"{statistics.median(checks) * 1e3:.2f} ms")


def time_workers(recipe: Recipe, folder: Path, images: int) -> None:
    """Times two processes against one, including opening sources and writing files."""
    seconds = {}
    for workers in (1, 2):
        report = synthesize(
            recipe, folder / f"workers{workers}", images, workers=workers, shard_size=25, progress=False
        )
        seconds[workers] = report.seconds
        shutil.rmtree(report.out)
    print(f"{images} images with one process {seconds[1]:.1f} s, with two {seconds[2]:.1f} s: ", end="")
    print(f"{seconds[1] / seconds[2]:.2f} times as fast")


def watch_memory(ours: Ours, images: int) -> None:
    """Prints the peak memory at ten points of a run."""
    for _ in range(10):
        ours.make(images // 10)
        shutil.rmtree(ours.out / ".shards" / f"{ours.shards - 1:06d}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{ours.done} images: {peak:.0f} MiB", flush=True)


def main() -> None:
    """Runs all measurements on one thread."""
    args = parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        prepared = Path(args.prepared) if args.prepared else folder
        bank, metadata = prepare(args, prepared)
        print(f"{len(SegmentBank.from_index(bank))} cut-outs, {CANVAS[1]}x{CANVAS[0]}, one process")
        plain = Recipe(
            canvas=CANVAS,
            segments={"type": "index", "path": str(bank)},
            backgrounds={"type": "folder", "root": str(Path(args.backgrounds).resolve())},
            layout={"type": "StructuredLayout", "counts": COUNTS, "crowded": "fewer"},
            formats=("panoptic", "objects"),
        )
        lit = Recipe.from_dict({**plain.to_dict(), "effects": "default"})
        contestants = {}
        if args.peer:
            (folder / "peer").mkdir()
            peer = Peer(Path(args.peer).resolve(), prepared / "segments", metadata, folder / "peer")
            contestants["released generator"] = (peer.make, max(args.images // 5, 1))
        for what, recipe in (("sos_mm, light off", plain), ("sos_mm, default light", lit)):
            (folder / what).mkdir()
            contestants[what] = (Ours(recipe, folder / what).make, args.images)
        compare(contestants)
        if not args.only_rounds:
            time_parts(plain)
            time_workers(plain, folder, 40 * args.images)
        if args.memory:
            (folder / "memory").mkdir()
            watch_memory(Ours(plain, folder / "memory"), args.memory)


if __name__ == "__main__":
    main()
