"""The table of writers: the command of each, its inputs, what it leaves while it works, and what its result is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.kills.processes import Call

SCENES = {
    "canvas": (48, 64),
    "segments": {"type": "sample"},
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
}
# What it takes to be killed in every place: several shards, several volumes and partial files of few data.
_SMALL_BLOCKS = "import huggingface_hub.constants as constants; constants.DOWNLOAD_CHUNK_SIZE = 2048"


@dataclass(frozen=True)
class Writer:
    """A command that writes, of which everything but the names in this table is tested alike.

    Attributes:
        name: Its name in reports.
        calls: The commands that share the work, most often one; the same ones go on after an interruption.
        out: The folder or file of the result, in the folder where the commands run.
        complete: The file whose being there says that the result is complete.
        begun: Pattern of what is there when it has something to go on from.
        work: Folder of the unfinished run, which is gone at the end.
        goes_on: What an interruption prints.
        modules: What is imported before the commands are forked.
        strangers: Files of somebody else, which are there from the start.
        guest: A file that somebody puts into the folder of the unfinished run, and that stays there.
        inputs: Writes the inputs into the folder ``inputs`` beside that of the commands.
        finished: The step of the main process before which all shards are finished: an event and a path.
        from_finished: Whether all runs begin there.
        first: A command that runs before.
        parts: Patterns of the files of finished shards.
        workers: Whether the commands have worker processes.
        warm: Whether the command leaves no threads, so that the process that forks the others may run it once.
        needs: What must be installed.
        environment: Variables for its commands.
    """

    name: str
    calls: tuple[Call, ...]
    out: str
    complete: str
    begun: str
    inputs: Callable[[Path], object]
    work: str = ""
    goes_on: str = "interrupted: the same command goes on from here"
    modules: tuple[str, ...] = ("sos_mm.cli",)
    strangers: tuple[str, ...] = ()
    guest: str = ""
    finished: str = ""
    from_finished: bool = False
    first: Call | None = None
    parts: tuple[str, ...] = ()
    workers: bool = False
    warm: bool = True
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def _write_config(path: Path, config: dict) -> None:
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in config.items()))


def _recipe(inputs: Path) -> None:
    formats = ["coco", "panoptic", "lvis", "odvg", "yolo", "saliency", "objects", "referring", "webdataset"]
    _write_config(inputs / "recipe.py", {**SCENES, "group": "all", "formats": formats})


def _synthesize(workers: int, *more: str) -> Call:
    argv = ("synthesize", "../inputs/recipe.py", "--out", "out", "--num", "24", "--workers", str(workers))
    return Call((*argv, "--shard-size", "4", *more))


_synthesis = partial(
    Writer,
    out="out",
    complete="out/manifest.json",
    begun="out/.shards/[0-9]*[0-9]",
    work="out/.shards",
    inputs=_recipe,
    modules=("sos_mm.cli.synthesize",),
    strangers=("out.old/notes.txt", ".out/notes.txt", "out.part/000000/notes.txt"),
    guest="out/.shards/notes.txt",
    finished="os.mkdir out/images",
    parts=("out/.shards/000001/*.jsonl", "out/.shards/000001/shard.json", "out/.shards/000001/images/*"),
)


# A data set without merged files is there, and complete; it is made as the merged one. Nothing is ever in shards.
_merging_later = _synthesis(
    "later merge",
    (_synthesize(1),),
    first=_synthesize(1, "--merge", "none"),
    begun="out/.shards/manifest.json",
    parts=(),
)


def _segments(inputs: Path) -> None:
    import numpy as np

    from tests.conftest import make_rgba, write_rgba

    rng = np.random.default_rng(1)
    for number in range(24):
        height, width = rng.integers(30, 70, 2)
        folder = inputs / "segments" / ("apple", "dog", "zebra")[number % 3] / f"kind_{number % 2}"
        write_rgba(folder / f"{number}.png", make_rgba(rng, height, width))


def _index(workers: int, *sides: str) -> Call:
    bank = ("type=folder", "root=../inputs/segments")
    return Call(("index", "banks/bank.arrow", *bank, "--copies", *sides, "--workers", str(workers)))


_indexing = partial(
    Writer,
    out="banks",
    complete="banks/bank.arrow",
    begun="banks/.bank.arrow.rows-*",
    goes_on="interrupted: the index is as it was, or complete; the same command makes it again",
    inputs=_segments,
    modules=("sos_mm.cli.index",),
    warm=False,
    strangers=("banks/bank.arrow.old", "banks/.bank.arrow.notes-1", "banks/bank.0123456789abcdef.copies.mine"),
)


def _composed(inputs: Path, images: int = 12, **options) -> None:
    from sos_mm.synthesis import Recipe, synthesize

    recipe = Recipe.from_dict({**SCENES, "formats": ["coco", "objects", "panoptic"], **options})
    synthesize(recipe, inputs / "set", images, progress=False)


def _lit(inputs: Path) -> None:
    _composed(inputs, 15, image_format="png")
    relighter = {"type": "AreaWeightedBlend", "relighter": {"type": "GradientRelighter"}}
    _write_config(inputs / "relight.py", {"canvas": (64, 64), "effects": [relighter]})


def _relight(**environment: str) -> Call:
    words = ("relight", "../inputs/set", "--recipe", "../inputs/relight.py", "--batch-size", "3", "--no-guard")
    return Call((*words, "--out", "out"), environment)


_ranks = [{"RANK": str(rank), "WORLD_SIZE": "2"} for rank in range(2)]
_relighting = partial(
    Writer,
    out="out",
    complete="out/relighting.json",
    begun="out/.relighting/0*.jsonl",
    work="out/.relighting",
    inputs=_lit,
    modules=("sos_mm.cli.relight",),
    strangers=("out.old/notes.txt", ".out/notes.txt"),
    guest="out/.relighting/notes.txt",
    finished="os.mkdir out/annotations",
    parts=("out/.relighting/000001.jsonl", "out/images/00000004.png"),
)


def _drawing(inputs: Path) -> None:
    from tests.generation.conftest import recipe_of
    from tests.helpers.pipelines import save_stable_diffusion

    models = {"stable_diffusion": save_stable_diffusion(inputs / "sd")}
    recipe = recipe_of(models, shard_size=3, keep_rejected=True, filters={"area": (0.0, 1.0), "duplicates": 8})
    (inputs / "draw.json").write_text(json.dumps(recipe.to_dict()))


def _draw(**environment: str) -> Call:
    return Call(("draw", "../inputs/draw.json", "--out", "out", "--device", "cpu"), environment)


_drawn = partial(
    Writer,
    out="out",
    complete="out/manifest.json",
    begun="out/.drawing/[0-9]*[0-9]",
    work="out/.drawing",
    inputs=_drawing,
    needs=("torch", "diffusers"),
    modules=(
        "sos_mm.cli.draw",
        "sos_mm.generation.making",
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "transformers.models.clip.modeling_clip",
        "tests.helpers.cutters",
    ),
    warm=False,
    strangers=("out.old/notes.txt", ".out/notes.txt"),
    guest="out/.drawing/notes.txt",
    finished="open out/.drawing/join.lock",
    parts=(
        "out/.drawing/000001/records.jsonl",
        "out/.drawing/000001/sums.json",
        "out/.drawing/000001/*.png",
        "out/prompts.jsonl",
    ),
)


def _download(name: str) -> Call:
    return Call(
        ("download", name, "--out", "out", "--accept-no-licence", "--unpack-with", "py7zr"), setup=_SMALL_BLOCKS
    )


_downloading = partial(
    Writer,
    out="out",
    complete="",
    begun="home/hub/**/blobs/*",
    goes_on="interrupted: the same command goes on where it stopped",
    inputs=lambda inputs: None,
    needs=("huggingface_hub.file_download", "py7zr"),
    modules=("sos_mm.cli.download", "huggingface_hub", "py7zr", "pyarrow.parquet"),
    warm=False,
    strangers=("out/notes.txt", "out/.unpacking.old/notes.txt", "out.old/notes.txt"),
)


def _referred(inputs: Path) -> None:
    _composed(inputs, 8, canvas=(120, 160), sampling="single_category")


REFER = Call(
    ("refer", "../inputs/set", "--out", "out", "--outputs", "odvg", "grefcoco", "refcoco", "refs", "dod", "intra_class")
)

WRITERS = [
    _synthesis("synthesis, 1 worker", (_synthesize(1),)),
    _synthesis("synthesis, 2 workers", (_synthesize(2),), workers=True),
    _synthesis("merge", (_synthesize(1),), from_finished=True),
    _synthesis("no merge", (_synthesize(1, "--merge", "none"),), from_finished=True),
    _merging_later,
    _indexing("index, 1 worker", (_index(1, "32", "64"),)),
    _indexing("index, 2 workers", (_index(2, "32", "64"),), workers=True),
    _indexing("index over another", (_index(1, "32", "64"),), first=_index(1, "48")),
    _relighting("relighting, 1 process", (_relight(),)),
    _relighting("relighting, 2 processes", tuple(_relight(**each) for each in _ranks)),
    _drawn("drawing, 1 process", (_draw(),)),
    _drawn("drawing, 2 processes", tuple(_draw(**each) for each in _ranks)),
    _downloading(
        "download of archives",
        (_download("someone/solid"),),
        work="out/.unpacking",
        finished="os.mkdir out/.unpacking",
        parts=("home/hub/datasets--*/blobs/*",),
    ),
    _downloading("download of tables", (_download("visualization"),)),
    Writer(
        "expressions",
        (REFER,),
        out="out",
        complete="out/referring_summary.json",
        begun="out/.referring.jsonl.part",
        inputs=_referred,
        modules=("sos_mm.cli.refer",),
        strangers=("out/notes.txt", "out/.referring.jsonl.old", "out.old/notes.txt"),
        finished="os.rename out/.referring.jsonl.part",
        parts=("out/.referring.jsonl.part",),
    ),
]
