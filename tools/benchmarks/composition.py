"""Measures the cost of each part of an image: layout, decoding, background, composition, encoding of image and records.

python tools/benchmarks/composition.py                                  # the bundled sample, 384x384, 1-6 objects
python tools/benchmarks/composition.py --canvas 1024 1024 --counts 5 19
python tools/benchmarks/composition.py --canvas 1024 1024 --counts 5 19 --index bank.arrow --backgrounds PHOTOS

Times are processor times of one thread, means over new images: all caches are cold at the start. With `--light`, each
effect is timed too; composing contains them.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2

from sos_mm.composition import Scene, compose
from sos_mm.composition.effects.step import Step
from sos_mm.composition.place import scaled_size
from sos_mm.formats.panoptic import encode_map
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis import Recipe
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.shards import shard_folder
from sos_mm.synthesis.writers import Entry, encode_image
from sos_mm.synthesis.writers.objects import objects_format


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canvas", type=int, nargs=2, default=(384, 384), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--counts", type=int, nargs=2, default=(1, 6), metavar=("LEAST", "MOST"))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--index", help="file that tools/index_segments.py wrote, instead of the bundled bank")
    parser.add_argument("--root", help="segments laid out as the released ones, instead of the bundled bank")
    parser.add_argument("--metadata", help="their JSON file")
    parser.add_argument("--backgrounds", help="folder of photographs, instead of the bundled ones")
    parser.add_argument("--light", action="store_true", help="with the default steps of light")
    return parser.parse_args()


def build_recipe(args: argparse.Namespace) -> Recipe:
    """Builds the recipe that the arguments describe."""
    layout = {"type": "StructuredLayout", "counts": tuple(args.counts), "crowded": "fewer"}
    recipe = Recipe(canvas=tuple(args.canvas), layout=layout, formats=("panoptic", "objects"))
    if args.index:
        recipe = replace(recipe, segments={"type": "index", "path": args.index})
    if args.root:
        recipe = replace(recipe, segments={"type": "release", "root": args.root, "metadata": args.metadata})
    if args.backgrounds:
        recipe = replace(recipe, backgrounds={"type": "folder", "root": args.backgrounds})
    return replace(recipe, effects="default") if args.light else recipe


class Clock:
    """Processor seconds by part."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a part."""
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start


def time_effects(steps: Sequence[Step], clock: Clock) -> None:
    """Replaces the methods of these effects by ones that add their time to a part of the effect's name."""

    def timed(method: Callable, name: str) -> Callable:
        def call(*inputs):
            with clock.part(name):
                return method(*inputs)

        return call

    for kind in {type(step) for step in steps}:
        for name in ("retouch", "underlay", "finish"):
            setattr(kind, name, timed(getattr(kind, name), f"  {kind.__name__}"))


def make(maker: ShardMaker, index: int, clock: Clock) -> Scene:
    """Generates a scene as `SceneMaker` does, and times its parts."""
    scenes, canvas = maker.scenes, tuple(maker.recipe.canvas)
    rng = generator(maker.seed, Purpose.LAYOUT, index)
    with clock.part("draw and lay out"):
        drawn = scenes.bank.sample(rng, scenes.layout.draw_count(rng))
        segments = [scenes.bank.info(each) for each in drawn]
        layout = scenes.layout.plan(rng, segments, canvas)
    with clock.part("decode cut-outs"):
        for planned in layout.placements:
            wanted = scaled_size(segments[planned.segment].size, planned.box)
            segments[planned.segment] = scenes.bank.load(drawn[planned.segment], wanted)
    with clock.part("background"):
        background = scenes.backgrounds.sample(rng, canvas)
    with clock.part("compose"):
        return compose(background, layout, segments, steps=scenes.steps, rng=rng)


def encode(maker: ShardMaker, scene: Scene, index: int, clock: Clock) -> None:
    """Encodes a scene as `ShardMaker` does, and times its parts."""
    entry = Entry(scene, index, maker.seed, ".jpg", maker.categories)
    with clock.part("run lengths, modal and amodal"):
        assert len(entry.modal_rles) == len(entry.amodal_rles)
    with clock.part("image as JPEG"):
        encode_image(scene)
    with clock.part("label map as PNG"):
        encode_map(scene.owner)
    with clock.part("records"):
        objects_format().encode(entry)


def main() -> None:
    """Measures the parts, then complete images including the writing of files, on one thread."""
    args = parse_args()
    cv2.setNumThreads(1)
    recipe = build_recipe(args)
    print(f"{args.canvas[1]}x{args.canvas[0]}, {args.counts[0]}-{args.counts[1]} objects, one process, one thread")
    maker, clock = ShardMaker(recipe, 0), Clock()
    time_effects(maker.scenes.steps, clock)
    for index in range(args.images):
        encode(maker, make(maker, index, clock), index, clock)
    for name, seconds in clock.seconds.items():
        print(f"{name:34s} {seconds / args.images * 1e3:7.2f} ms")
    maker = ShardMaker(recipe, 0)
    with tempfile.TemporaryDirectory() as folder:
        shard_folder(Path(folder), 0).parent.mkdir()
        start, wall = time.process_time(), time.perf_counter()
        maker.make(Path(folder), 0, range(args.images))
        seconds, wall = (time.process_time() - start) / args.images, (time.perf_counter() - wall) / args.images
    print(f"{'all, files written':34s} {seconds * 1e3:7.2f} ms, {1 / seconds:.1f} images a second", end="")
    print(f" of the processor, {1 / wall:.1f} of the clock")


if __name__ == "__main__":
    main()
