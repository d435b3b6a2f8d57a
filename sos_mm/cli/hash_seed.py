"""Fixes Python's hash seed, on which the order of sets of strings depends, before a training starts."""

import os
import subprocess
import sys


def fix_hash_seed() -> None:
    """Starts the process anew with ``PYTHONHASHSEED=0``, unless that variable is set.

    Python reads the variable only when it starts. Without it, strings hash differently in every process, so that code
    that goes through a set of strings, as mmdet's ``RandomSamplingNegPos`` does, draws differently from equal seeds.
    The new process keeps the process id, the interpreter's options and the arguments. Nothing is started anew where the
    command is called within another program, such as a test.
    """
    arguments = sys.argv[1:]
    own = bool(arguments) and sys.orig_argv[-len(arguments) :] == arguments
    if "PYTHONHASHSEED" in os.environ or not own:
        return
    os.environ["PYTHONHASHSEED"] = "0"
    command = [sys.executable, *sys.orig_argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        # On Windows `os.execv` returns to the caller before the new process ends.
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)
