"""How commands end: a refusal is one line and exit code 2, an interruption says how to go on.

Imports nothing heavy, so that an interruption while libraries are imported ends as cleanly as a later one.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NoReturn, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# What a user's input, files and environment can raise.
EXPECTED = (ImportError, OSError, RuntimeError, ValueError)
REFUSED = 2
_INTERRUPTED = 128


class Ended(SystemExit):
    """Ends the process with a line on stderr and an exit code.

    Args:
        line: The line; it is printed where this is raised.
        code: The exit code.
    """

    def __init__(self, line: str, code: int):
        super().__init__(line)
        self.code = code
        print(line, file=sys.stderr, flush=True)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


def refuse(message: object) -> NoReturn:
    """Ends the process with an error message and exit code 2.

    Raises:
        Ended: Always.
    """
    raise Ended(f"error: {message}", REFUSED) from None


@contextmanager
def refusals() -> Iterator[None]:
    """Turns the exceptions that a user's input can cause into a refusal.

    With SOS_MM_DEBUG=1 in the environment they stay what they are, tracebacks included.
    """
    try:
        yield
    except EXPECTED as error:
        if os.environ.get("SOS_MM_DEBUG") == "1":
            raise
        refuse(error)


def command(
    interrupted: str = "interrupted", refusing: bool = True
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Makes a function that does what a command does end as commands end.

    Args:
        interrupted: What Ctrl-C and SIGTERM print: how to go on.
        refusing: Whether `refusals` covers all of it; otherwise it uses `refusals` itself where input is read.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            try:
                with ended_by_signals(), refusals() if refusing else nullcontext():
                    return function(*args, **kwargs)
            except KeyboardInterrupt as signalled:
                _end(interrupted, signalled)

        return run

    return decorate


def _end(line: str, signalled: KeyboardInterrupt) -> NoReturn:
    number = signal.SIGTERM if isinstance(signalled, Terminated) else signal.SIGINT
    raise Ended(line, _INTERRUPTED + number) from None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raises KeyboardInterrupt at the first Ctrl-C or SIGTERM, and ends the process at once at the second.

    Child processes that inherit this answer signals as if it was not there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own, signals = os.getpid(), (signal.SIGINT, signal.SIGTERM)

    def end_at_once(number: int, _) -> None:
        os._exit(_INTERRUPTED + number)

    def interrupt(number: int, _) -> None:
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in signals:
            signal.signal(each, end_at_once)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    # An inner command keeps what an outer one has set; who ignores signals, such as nohup, goes on doing so.
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    before = {each: signal.getsignal(each) for each in signals}
    for each, handler in before.items():
        if handler in defaults:
            signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            if handler in defaults:
                signal.signal(each, handler)
