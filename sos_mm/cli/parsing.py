"""Functions shared by the parsers of all verbs."""

import argparse
import re
import sys
from typing import Any, NoReturn

from sos_mm.checks import did_you_mean, require_posix
from sos_mm.cli.ending import refusals
from sos_mm.config_file import config_module

# Verbs that need a POSIX system.
POSIX_VERBS = ("synthesize", "preview", "download", "index", "relight", "cutout", "draw", "refer", "convert", "steer")

_NO_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)$")


class Parser(argparse.ArgumentParser):
    """A parser whose errors about a choice ask for the nearest one; the parsers of its kinds are such too."""

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the error, and ends the process with code 2."""
        if found := _NO_CHOICE.search(message):
            message += did_you_mean(found[1], re.findall(r"[^\s',]+", found[2]))
        super().error(message)


def new_parser(verb: str, description: str, prog: str | None, **options) -> argparse.ArgumentParser:
    """Creates the parser of a verb, without arguments.

    Args:
        verb: The verb.
        description: Description of the verb, which names the command as ``sos-mm VERB``.
        prog: The command as it was called; None for a file of ``tools/``, which the help text then names.
        options: Options of `argparse.ArgumentParser`.

    Raises:
        Ended: If the verb cannot be used on this operating system.
    """
    if verb in POSIX_VERBS:
        with refusals():
            require_posix(f"`{prog or sys.argv[0]}`")
    if prog is None:
        description = description.replace(f"sos-mm {verb}", f"python {sys.argv[0]}")
    return Parser(prog=prog, description=description, **options)


def add_recipe(parser: argparse.ArgumentParser, example: str, flag: str | None = None) -> None:
    """Adds the arguments that name a recipe: its file, and ``--cfg-options`` with values that replace those in it.

    Args:
        parser: The parser of a verb.
        example: Example of ``KEY=VALUE`` in the help text.
        flag: The option that names the file, such as ``--recipe``; None for a positional argument.

    Raises:
        ImportError: If mmengine is not installed.
    """
    named: dict[str, Any] = {"required": True} if flag else {}
    parser.add_argument(flag or "recipe", help="config file of what to make", **named)
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=config_module().DictAction,
        default={},
        metavar="KEY=VALUE",
        help=f"values that replace those of the recipe, such as {example}",
    )


def add_renamed_argument(parser: argparse.ArgumentParser, name: str, old_name: str, **options: Any) -> None:
    """Adds an option that may be given under its name or under its old one, which the help leaves out.

    Args:
        parser: The parser.
        name, old_name: The names with their dashes. Giving both is an error.
        options: Options of `argparse.ArgumentParser.add_argument`.
    """
    group = parser.add_mutually_exclusive_group()
    stored = group.add_argument(name, **options)
    group.add_argument(old_name, **options | {"help": argparse.SUPPRESS, "dest": stored.dest})
