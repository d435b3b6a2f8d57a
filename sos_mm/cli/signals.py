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

    The second one may come after the block too, since what then ends may take its time. Child processes that inherit
    these handlers react to signals as without them.
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
        self._process, self._again, self._hook = os.getpid(), False, sys.unraisablehook

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
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


def _in_numba(frame: FrameType | None) -> bool:
    """Returns whether a function of numba called the code that runs."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("numba."):
            return True
        frame = frame.f_back
    return False
