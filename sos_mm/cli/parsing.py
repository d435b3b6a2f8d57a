"""What the parsers of all verbs have in common."""

import argparse
import sys

from sos_mm.checks import require_posix

# What these do needs more of the operating system than Windows has.
POSIX_VERBS = ("synthesize", "preview", "index", "cutout", "convert")


def new_parser(verb: str, description: str, prog: str | None, **options) -> argparse.ArgumentParser:
    """Makes the parser of a verb, without arguments yet.

    Args:
        verb: The verb.
        description: What the verb does; it names its own command as ``sos-mm VERB``.
        prog: The command as it was called; None if a file of ``tools/`` was, which the help text then names instead.
        options: Those of `argparse.ArgumentParser`.

    Raises:
        SystemExit: If the verb cannot be used on this operating system.
    """
    if verb in POSIX_VERBS:
        try:
            require_posix(f"`{prog or sys.argv[0]}`")
        except RuntimeError as error:
            sys.exit(f"error: {error}")
    if prog is None:
        description = description.replace(f"sos-mm {verb}", f"python {sys.argv[0]}")
    return argparse.ArgumentParser(prog=prog, description=description, **options)
