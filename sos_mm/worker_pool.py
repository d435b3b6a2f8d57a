"""Pools of worker processes, which end with the process that starts them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any


@contextmanager
def worker_pool(
    workers: int, begin: Callable[..., object] | None = None, arguments: Sequence[Any] = (), *, kept: str = ""
) -> Iterator[ProcessPoolExecutor]:
    """Opens a pool of processes.

    This process alone answers Ctrl-C: an interruption of the block, or the end of the generator that it is in, ends the
    workers at once.

    Args:
        workers: Number of processes.
        begin: Called by each process when it starts, if it is given.
        arguments: Its arguments.
        kept: What is kept if a worker is killed, for the message.

    Raises:
        RuntimeError: If a worker is killed.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, _Context(), begin, tuple(arguments))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"A worker was killed, possibly for lack of memory{f'. {kept}' if kept else ''}: run the same command "
            "again, with fewer workers if memory is short."
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        # What is under way may take long.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker(SpawnProcess):
    def start(self) -> None:
        """Starts the process, with Ctrl-C held back until it ignores it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Runs in the process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        threading.Thread(target=_end_with_parent, daemon=True).start()
        super().run()


def _end_with_parent() -> None:
    """Ends this process when the one that started it has ended: if that is killed, it cannot end its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it is a worker"
    parent.join()
    os._exit(1)


class _Context(SpawnContext):
    # Not forked: threads of OpenCV and Arrow do not survive a fork.
    Process = _Worker
