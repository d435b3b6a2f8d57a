"""Draws segments from words by a text-to-image model, cuts them out and filters them, into a bank.

A recipe with `pairs` cuts them out of images of a data set instead, such as Subjects200K.

sos-mm draw configs/segments/flux_schnell.py --out data/drawn
sos-mm draw configs/segments/sd_turbo.py --out data/drawn --cfg-options "categories=['mug','lamp']" batch_size=8

Several GPUs: `torchrun --nproc_per_node 8 -m sos_mm draw RECIPE --out BANK`. An interrupted run goes on where it was.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_recipe, new_parser
from sos_mm.config_file import check_settings, naming_file
from sos_mm.generation.recipe import KEYS, BankRecipe, build_bank_recipe
from sos_mm.synthesis.recipe import read_config

A_RECIPE = (
    "a recipe of segments, a config file that sets what is drawn, such as `model`, `categories` and `cutter` "
    "(`sos-mm config segments/sd_turbo.py` copies one out)"
)


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("draw", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_recipe(parser, example="batch_size=8")
    parser.add_argument("--out", required=True, help="folder of the bank, or file of the prompts with --prompts-only")
    parser.add_argument("--device", default="auto", help="where the models run (default: a GPU where there is one)")
    parser.add_argument("--seed", type=int, default=0, help="seed of prompts and noise (default: 0)")
    parser.add_argument("--prompts-only", action="store_true", help="only write the prompts, to read or change them")
    return parser.parse_args(argv)


def write_prompts(recipe: BankRecipe, seed: int, out: Path) -> None:
    """Writes the prompts of a recipe as JSON lines, which ``prompts = dict(type="file", path=...)`` reads."""
    from sos_mm.formats.json_writer import write_json_lines

    number = write_json_lines(out, (prompt.to_json() for prompt in recipe.write_prompts(seed)))
    print(f"{out}: {number} prompts for {number * recipe.repeats} images")


@command("interrupted: the same command goes on from here")
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Makes the bank and prints its path; returns 1 if the filters kept no segment."""
    args = parse_args(argv, prog)
    config = read_config(args.recipe, args.cfg_options)
    check_settings(args.recipe, config, KEYS, A_RECIPE)
    with naming_file(args.recipe):
        recipe = build_bank_recipe(config)
    if args.prompts_only:
        write_prompts(recipe, args.seed, Path(args.out))
        return 0
    from sos_mm.generation.making import make_segments

    report = make_segments(recipe, args.out, seed=args.seed, device=args.device)
    print(report.describe())
    return int(report.complete and not report.kept)
