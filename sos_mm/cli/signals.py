"""Ctrl-C and SIGTERM: the first one interrupts a command wherever it is, the second one ends the process at once."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 128  # Added to a signal's number it is the exit code.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAIT = 0.02  # Seconds until a signal that could not interrupt comes again.


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raises KeyboardInterrupt at the first Ctrl-C or SIGTERM, and ends the process at once at the second.

    The second one may come after the block too, since what then ends may take its time. Child processes do not inherit
    these handlers: a signal ends them at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # An inner command keeps the handlers of an outer one; ignored signals, as under nohup, stay ignored.
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    before = {each: signal.getsignal(each) for each in _SIGNALS if signal.getsignal(each) in defaults}
    interruption, hook = _Interruption(), sys.unraisablehook
    for each in before:
        signal.signal(each, interruption.handle)
    if before:
        sys.unraisablehook = interruption.report
    try:
        yield
    finally:
        if before:
            sys.unraisablehook = hook
        for each, handler in before.items() if interruption.first is None else ():
            signal.signal(each, handler)


class _Interruption:
    """Raises an exception at the first signal, again and again until it interrupts.

    Finalizers that the collector of garbage calls, and numba while it chooses or compiles a loop, swallow exceptions.

    Attributes:
        first: The first signal; None if there was none.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._again, self._hook = False, sys.unraisablehook

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.first is not None and not self._again:
            os._exit(INTERRUPTED + number)
        self.first, self._again = number, False
        if _in_numba(frame):
            self._come_again()
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def report(self, swallowed: Any) -> None:
        """Handles an exception that a finalizer has raised."""
        if self.first is not None and isinstance(swallowed.exc_value, KeyboardInterrupt):
            self._come_again()
        else:
            self._hook(swallowed)

    def _come_again(self) -> None:
        timer = threading.Timer(_WAIT, self._send)
        timer.daemon = True
        timer.start()

    def _send(self) -> None:
        assert self.first is not None
        self._again = True
        main = threading.main_thread().ident
        if hasattr(signal, "pthread_kill") and main is not None:
            # Ends a wait of the main thread, too.
            signal.pthread_kill(main, self.first)
        else:
            _thread.interrupt_main(signal.Signals(self.first))


def _handled() -> list[signal.Signals]:
    """Returns the signals that an `_Interruption` handles now."""
    handlers = {each: getattr(signal.getsignal(each), "__self__", None) for each in _SIGNALS}
    return [each for each, owner in handlers.items() if isinstance(owner, _Interruption)]


# The signals that a thread held back before it began to fork.
_before_fork = threading.local()


def _hold_back() -> None:
    """Holds signals back during a fork: Python forgets those that a child process gets before the fork returns."""
    _before_fork.mask = None
    # Read on its own, since a signal that comes meanwhile raises an exception.
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signal.pthread_sigmask(signal.SIG_BLOCK, _handled())


def _let_through() -> None:
    if _before_fork.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _let_through_to_child() -> None:
    for each in _handled():
        signal.signal(each, signal.SIG_DFL)
    _let_through()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_let_through_to_child)


def _in_numba(frame: FrameType | None) -> bool:
    """Returns whether a function of numba called the code that runs."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("numba."):
            return True
        frame = frame.f_back
    return False
