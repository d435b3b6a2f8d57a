"""Functions shared by the parsers of all verbs."""

import argparse
import sys


def new_parser(verb: str, description: str, prog: str | None, **options) -> argparse.ArgumentParser:
    """Creates the parser of a verb, without arguments.

    Args:
        verb: The verb.
        description: Description of the verb, which names the command as ``sos-mm VERB``.
        prog: The command as it was called; None for a file of ``tools/``, which the help text then names instead.
        options: Options of `argparse.ArgumentParser`.
    """
    if prog is None:
        description = description.replace(f"sos-mm {verb}", f"python {sys.argv[0]}")
    return argparse.ArgumentParser(prog=prog, description=description, **options)
