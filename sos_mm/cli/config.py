"""Copies a config of the package for changes: `sos-mm config synthesis/fc_like.py`.

The copy inherits what the original inherits, from the installed package. To change a few values only, inherit a config
instead of copying it: `_base_ = __import__("sos_mm").get_config("synthesis/fc_like.py")`.
"""

import argparse
import ast
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath

from sos_mm.cli.ending import command, refuse
from sos_mm.cli.parsing import new_parser
from sos_mm.shipped import config_names, get_config


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("config", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", help="its path relative to configs/, such as synthesis/fc_like.py")
    which.add_argument("--list", action="store_true", help="list them all instead")
    parser.add_argument("--out", type=Path, help="file to write, which must be new (default: its name in this folder)")
    return parser.parse_args(argv)


def standalone_text(name: str) -> str:
    """Returns the text of a shipped config with its relative paths replaced, so that it loads from any folder.

    Args:
        name: Its path relative to ``configs/``.

    Raises:
        ValueError: If there is no such config.
    """
    text = Path(get_config(name)).read_text(encoding="utf-8")
    text = re.sub(r'"{{ *fileDirname *}}/(.+?)"', lambda found: _expression(name, found[1]), text)
    lines = [line.encode() for line in text.splitlines(keepends=True)]  # The columns of ast nodes are counted in bytes.
    for base in reversed(_bases(text)):
        value = str(base.value)
        if "::" not in value:  # That of another package is found anyway.
            line, found = lines[base.lineno - 1], _expression(name, value).encode()
            lines[base.lineno - 1] = line[: base.col_offset] + found + line[base.end_col_offset :]
    return b"".join(lines).decode()


def _expression(name: str, relative: str) -> str:
    """Returns the expression that replaces a path relative to the config ``name``."""
    path = normpath(PurePosixPath(name).parent / relative)
    return f'__import__("sos_mm").get_config("{path}")'


def _bases(text: str) -> list[ast.Constant]:
    """Returns the paths in a config's ``_base_``, in their order."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_base_":
            return [each for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
    return []


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes the copy and prints its path, or lists the names."""
    args = parse_args(argv, prog)
    if args.list:
        print("\n".join(config_names()))
        return
    text = standalone_text(args.name)
    out = args.out or Path(PurePosixPath(args.name).name)
    if out.suffix != ".py":
        refuse(f"--out must name a file that ends in .py, or it is not read as a config, but got {out}")
    try:
        with open(out, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse(f"{out} is there already, and is left as it is: name another file with --out")
    print(out)
