"""How commands end: a refusal prints one line and exits with code 2; an interruption explains how to resume.

Imports next to nothing, so that an interruption during later imports ends as cleanly as one of the work.
"""

import functools
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NoReturn, ParamSpec, TypeVar

from sos_mm.cli.signals import INTERRUPTED, Terminated, ended_by_signals

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

REFUSED = 2
_OUTPUT = 1  # The file descriptor of the standard output.


class Ended(SystemExit):
    """Ends the process with a line on stderr and an exit code.

    Args:
        line: The line; it is printed when the exception is raised.
        code: The exit code.
    """

    def __init__(self, line: str, code: int):
        super().__init__(line)
        self.code = code
        print(line, file=sys.stderr, flush=True)


def refuse(message: object) -> NoReturn:
    """Ends the process with an error message and exit code 2.

    Raises:
        Ended: Always.
    """
    raise Ended(f"error: {one_line(str(message))}", REFUSED) from None


def one_line(text: str) -> str:
    """Returns a text as one line: line breaks are blanks, other letters that are not printable are escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.splitlines()))


@contextmanager
def refusals(expected: tuple[type[Exception], ...] | None = None) -> Iterator[None]:
    """Turns exceptions, by default `USER_ERRORS`, into a refusal.

    With SOS_MM_DEBUG=1 in the environment they are not changed and print tracebacks.
    """
    from sos_mm.checks import USER_ERRORS

    caught = USER_ERRORS if expected is None else expected
    try:
        yield
    except caught as error:
        if _reader_is_gone(error) or os.environ.get("SOS_MM_DEBUG") == "1":
            raise
        refuse(error)


def command(
    interrupted: str = "interrupted", refusing: bool = True
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Returns a decorator for the main function of a command, which handles its refusals and interruptions.

    Args:
        interrupted: The line that Ctrl-C and SIGTERM print: how to resume.
        refusing: Whether `refusals` covers the complete function; otherwise the function uses `refusals` itself.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            try:
                with ended_by_signals(), _ended_by_reader(), refusals() if refusing else nullcontext():
                    result = function(*args, **kwargs)
                    sys.stdout.flush()
                    return result
            except KeyboardInterrupt as signalled:
                _end(interrupted, signalled)

        return run

    return decorate


@contextmanager
def _ended_by_reader() -> Iterator[None]:
    """Ends the process without a word, as SIGPIPE does, if what reads its output has ended, such as ``head``."""
    try:
        yield
    except BrokenPipeError as error:
        if not _reader_is_gone(error):
            raise
        # The interpreter writes at its end what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)
        raise SystemExit(INTERRUPTED + signal.SIGPIPE) from None


def _reader_is_gone(error: Exception) -> bool:
    """Returns whether an error is the broken pipe of the standard output, not that of another pipe or connection."""
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(_OUTPUT, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _end(line: str, signalled: KeyboardInterrupt) -> NoReturn:
    number = signal.SIGTERM if isinstance(signalled, Terminated) else signal.SIGINT
    raise Ended(line, INTERRUPTED + number) from None
