"""Relights a composed data set: `sos-mm relight data/naive --out data/relit --recipe RECIPE`.

RECIPE is a recipe whose effects hold one `Relight` or `AreaWeightedBlend`, which is applied to the images that are
there; its other settings do not count. Annotations are copied byte for byte. What was done to each image is in
`annotations/relighting.jsonl`: prompt, direction and seed, the guard's scores, and whether the image was kept unlit.

Several processes share a data set, as with `torchrun --nproc_per_node 8 -m sos_mm relight ...`, or by --rank and
--world-size. The same command goes on after an interruption.
"""

import argparse
import os
from collections.abc import Sequence

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_recipe, new_parser
from sos_mm.composition.effects.blending import Relight
from sos_mm.config_file import config_module, naming_file
from sos_mm.errors import BROKEN
from sos_mm.generation.relighting.dataset import RelightSettings, relight_dataset
from sos_mm.generation.relighting.guard import Guard
from sos_mm.synthesis.recipe import Recipe, load_recipe


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("relight", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="folder of the data set, with images and annotations")
    parser.add_argument("--out", required=True, help="folder of the relit data set")
    add_recipe(parser, "effects.0.relighter.steps=8", flag="--recipe")
    parser.add_argument("--batch-size", type=int, default=4, help="images that are relit at once (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of prompts, directions and noise (default: 0)")
    guard = parser.add_mutually_exclusive_group()
    guard.add_argument(
        "--guard",
        nargs="+",
        action=config_module().DictAction,
        default={},
        metavar="KEY=VALUE",
        help="rules by which relit images are accepted, such as retries=3 colors=1.0 moved_share=0.5",
    )
    guard.add_argument("--no-guard", action="store_true", help="accept all relit images")
    parser.add_argument("--soften", type=float, default=1.0, help="soft edges of masks, in pixels (default: 1)")
    parser.add_argument("--broken", choices=BROKEN, default="error", help="what to do with images that are broken")
    for name, variable, default in (("--rank", "RANK", "0"), ("--world-size", "WORLD_SIZE", "1")):
        about = f"{name[2:].replace('-', ' ')} of this process (default: {variable} of the environment, or {default})"
        parser.add_argument(name, type=int, default=os.environ.get(variable, default), help=about)
    return parser.parse_args(argv)


def step_of(recipe: Recipe) -> Relight:
    """Returns the step of a recipe that relights.

    Raises:
        ValueError: If it has none, or several.
    """
    steps = [step for step in recipe.build_steps() if isinstance(step, Relight)]
    if len(steps) != 1:
        raise ValueError(
            f"The recipe must have one `Relight` or `AreaWeightedBlend` in `effects`, but has {len(steps)}."
        )
    return steps[0]


@command("interrupted: the same command goes on from here")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Relights the data set and prints the counts."""
    args = parse_args(argv, prog)
    recipe = load_recipe(args.recipe, args.cfg_options)
    with naming_file(args.recipe):
        step = step_of(recipe)
    settings = RelightSettings(
        step,
        guard=None if args.no_guard else Guard.from_dict(args.guard),
        seed=args.seed,
        batch_size=args.batch_size,
        soften=args.soften,
    )
    report = relight_dataset(
        args.dataset, args.out, settings, broken=args.broken, rank=args.rank, world_size=args.world_size
    )
    print(report.describe())
