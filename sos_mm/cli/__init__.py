"""The command `sos-mm`: one verb for each task of the package.

Each verb is a module of this folder with the function ``main(argv, prog)``, which the files of ``tools/`` call too. A
module is imported when its verb is called, so that no verb imports the dependencies of another.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import sos_mm
from sos_mm.cli.ending import command, refuse

VERBS = {
    "synthesize": "compose a data set from a recipe",
    "preview": "draw nine images of a recipe, with and without masks, on one sheet",
    "download": "download a released data set, and unpack it",
    "index": "make the index of a bank of segments",
    "relight": "relight a composed data set",
    "cutout": "cut out salient objects of images, folders and videos",
    "draw": "draw segments from words by a text-to-image model",
    "refer": "write referring expressions that are proved, or check those of others",
    "browse": "make a page about a data set",
    "validate": "check annotation files",
    "convert": "convert annotation files",
    "audit": "find near-duplicates of test data in training data",
    "check": "check saliency data sets for missing files",
    "train": "train a model",
    "test": "test a model",
    "steer": "write the recipe of the next round from the failures of a detector",
    "env": "print versions, and what each part needs",
    "config": "copy out a config that comes with the package",
}
# Verbs that call libraries whose draws depend on the order of sets. Only a call with the process's own arguments starts
# the process anew.
REPEATABLE = ("train",)


# All else is imported when interruptions end well.
@command(refusing=False)
def main(argv: Sequence[str] | None = None) -> int | None:
    """Runs a verb.

    Args:
        argv: The verb and its arguments; those of the process if None.

    Returns:
        What the verb returns, the exit code.

    Raises:
        SystemExit: If there is no such verb, or if the verb raises it.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    verb = _new_parser().parse_args(given[:1]).verb
    if argv is None:
        _make_repeatable(verb)
    return run(verb, given[1:], prog=f"sos-mm {verb}")


# Each verb decides what it refuses: while a model is trained, not every ValueError is a user's.
@command(refusing=False)
def run(verb: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int | None:
    """Imports a verb's module and calls its ``main``.

    Args:
        verb: One of `VERBS`.
        argv: Its arguments; those of the process if None.
        prog: The command as it was called; None if a file of ``tools/`` was.

    Returns:
        What the verb returns, the exit code.

    Raises:
        SystemExit: If the verb's libraries are missing, or as the verb does.
    """
    if argv is None:
        _make_repeatable(verb)
    try:
        module = import_module(f"sos_mm.cli.{verb}")
    except (ImportError, RuntimeError) as error:
        refuse(f"`sos-mm {verb}` cannot be used here: {error}. `sos-mm env` says how to get what is missing.")
    return module.main(argv, prog=prog)


def _make_repeatable(verb: str) -> None:
    """Starts this process anew if the verb needs it; see `fix_hash_seed`."""
    from sos_mm.cli.hash_seed import fix_hash_seed

    if verb in REPEATABLE:
        fix_hash_seed()


def _new_parser() -> argparse.ArgumentParser:
    from sos_mm.cli.parsing import Parser

    width = max(map(len, VERBS))
    listed = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    parser = Parser(
        prog="sos-mm",
        usage="sos-mm [-h] [--version] VERB ...",
        description=f"{sos_mm.__doc__.splitlines()[0]}\n\nverbs:\n{listed}",
        epilog="`sos-mm VERB --help` says how to use a verb; `python -m sos_mm VERB ...` is the same command. Further\n"
        "tools, such as export_onnx.py and report_saliency.py, are files in sos_mm/.mim/tools where this is installed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sos_mm {sos_mm.__version__}")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=argparse.SUPPRESS)
    return parser
