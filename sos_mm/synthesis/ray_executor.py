"""Generates shards on a Ray cluster."""

import os
import queue
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2

from sos_mm.checks import require
from sos_mm.synthesis.environment import code_hash, differences, library_facts
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import shard_folder
from sos_mm.synthesis.workspace import join_run

# How often Ray retries a shard when its worker dies.
_RETRIES = 2
# Time limits in seconds to reach the cluster; Ray's own limit is a quarter of an hour.
_PORT_S, _JOIN_S = 5.0, 25.0


def run_ray(maker: ShardMaker, out: Path, shards: Mapping[int, range], workers: int) -> Iterator[int]:
    """Generates shards as tasks of a Ray cluster: the one that ``RAY_ADDRESS`` names, or one started on this machine.

    Workers read the sources and write the shards by the same paths as this process, relative ones from this process's
    working directory: on a cluster they must be on a file system that all its machines share. They must run the same
    code. A worker that dies is replaced.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If ``RAY_ADDRESS`` names a cluster that does not respond.
        RuntimeError: If workers keep dying, or run other code than this process.
    """
    ray = require("ray", "`executor='ray'`", "pip install 'sos_mm[ray]'")
    if not shards:
        return
    started = _join_cluster(ray, workers)
    actor = ray.remote(num_cpus=1, max_restarts=_RETRIES, max_task_retries=_RETRIES)(_RayWorker)
    driver = {"folder": os.getcwd(), "code": code_hash(), "libraries": library_facts()}
    try:
        team = [
            actor.remote(maker.recipe, maker.seed, maker.left_out, out.absolute(), driver)
            for _ in range(min(workers, len(shards)))
        ]
        yield from _hand_out(ray, team, dict(shards))
    except ray.exceptions.RayTaskError as error:
        # Ray wraps the original error class.
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        raise RuntimeError(
            f"Workers of the Ray cluster keep dying: {_reason(error)}. Finished shards are kept in {out}: run the same "
            "command again, with fewer workers if memory is short."
        ) from error
    finally:
        if started:
            ray.shutdown()


def _reason(error: Exception) -> str:
    """Returns Ray's error message as one line."""
    return " ".join(str(error).split()).rstrip(".")


def _join_cluster(ray, workers: int) -> bool:
    """Connects to the cluster, or starts one; returns False if Ray was initialised before."""
    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        _initialize(ray, address="local", num_cpus=workers, include_dashboard=False)
        return True
    _check_port(address)
    # In a separate thread, since Ray's attempts to connect cannot be cancelled.
    outcome: queue.Queue[Exception | None] = queue.Queue()
    threading.Thread(target=_try_initialize, args=(ray, outcome), daemon=True).start()
    try:
        error = outcome.get(timeout=_JOIN_S)
    except queue.Empty:
        raise _unreachable(address, f"no answer within {_JOIN_S:.0f} s") from None
    if error is not None:
        raise _unreachable(address, _reason(error)) from error
    return True


def _initialize(ray, **options: Any) -> None:
    ray.init(**options, log_to_driver=False, logging_level="ERROR")


def _try_initialize(ray, outcome: "queue.Queue[Exception | None]") -> None:
    try:
        _initialize(ray)
    except Exception as error:
        outcome.put(error)
    else:
        outcome.put(None)


def _check_port(address: str) -> None:
    """Checks that the port of an address accepts connections; addresses without a port, such as 'auto', pass.

    Raises:
        ConnectionError: If it does not.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _unreachable(address, str(error)) from error
    if host is None or port is None:
        return
    try:
        socket.create_connection((host, port), timeout=_PORT_S).close()
    except OSError as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, reason: str) -> ConnectionError:
    return ConnectionError(
        f"`RAY_ADDRESS` names the Ray cluster {address!r}, which does not respond ({reason}): start it with `ray start "
        "--head`, correct the address, or unset RAY_ADDRESS to use this machine alone."
    )


def _hand_out(ray, team: list, shards: dict[int, range]) -> Iterator[int]:
    """Assigns one shard at a time to each idle worker; yields the number of images of each finished shard."""
    busy: dict[Any, Any] = {}  # Worker by the task that it works at.
    idle = list(team)
    while shards or busy:
        while shards and idle:
            number = next(iter(shards))
            worker = idle.pop()
            busy[worker.make.remote(number, shards.pop(number))] = worker
        done, _ = ray.wait(list(busy))
        idle.append(busy.pop(done[0]))
        yield ray.get(done[0])


class _RayWorker:
    """A worker process of a Ray cluster, which generates shards.

    It opens its sources at its first shard, so that an error there reaches the main process unchanged.
    """

    def __init__(self, recipe: Recipe, seed: int, left_out: Collection[str], out: Path, driver: Mapping[str, Any]):
        self._arguments, self._out, self._driver = (recipe, seed, left_out), out, driver
        self._maker: ShardMaker | None = None

    def make(self, number: int, indices: range) -> int:
        """Generates a shard, unless a worker that died has already completed it."""
        if self._maker is None:
            self._maker = self._open()
        if shard_folder(self._out, number).exists():
            return len(indices)
        return self._maker.make(self._out, number, indices)

    def _open(self) -> ShardMaker:
        check_same_code(self._driver, code_hash(), library_facts())
        if os.path.isdir(self._driver["folder"]):
            os.chdir(self._driver["folder"])
        join_run(self._out)
        cv2.setNumThreads(1)
        return ShardMaker(*self._arguments)


def check_same_code(driver: Mapping[str, Any], code: str, libraries: Mapping[str, Any]) -> None:
    """Checks that a worker has the same code and libraries as the main process, so that its output is identical.

    Args:
        driver: The main process's ``code`` and ``libraries``.
        code: The worker's `code_hash`.
        libraries: The worker's `library_facts`.

    Raises:
        RuntimeError: If the package's code or the libraries differ; names the differences.
    """
    told = differences(driver["libraries"], libraries)
    if code != driver["code"]:
        told.append("the code of sos_mm differs")
    if told:
        raise RuntimeError(
            f"A worker of the Ray cluster on {socket.gethostname()} would make other images ({'; '.join(told)}): "
            "install the same versions on all machines, or give Ray a `runtime_env` that holds them."
        )
