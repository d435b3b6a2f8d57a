"""What the parsers of all verbs have in common."""

import argparse
import sys


def new_parser(verb: str, description: str, prog: str | None, **options) -> argparse.ArgumentParser:
    """Makes the parser of a verb, without arguments yet.

    Args:
        verb: The verb.
        description: What the verb does; it names its own command as ``sos-mm VERB``.
        prog: The command as it was called; None if a file of ``tools/`` was, which the help text then names instead.
        options: Those of `argparse.ArgumentParser`.
    """
    if prog is None:
        description = description.replace(f"sos-mm {verb}", f"python {sys.argv[0]}")
    return argparse.ArgumentParser(prog=prog, description=description, **options)
