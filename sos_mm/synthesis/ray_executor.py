"""Generates shards on a Ray cluster."""

import os
import queue
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2

import sos_mm
from sos_mm.checks import require
from sos_mm.formats.composed import WORK
from sos_mm.synthesis.environment import code_hash, differences, library_facts
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.packed_shard import PackedShard
from sos_mm.synthesis.recipe import Recipe

# How often a shard is made again when its worker or its machine dies.
_RETRIES = 3
# Time limits in seconds to reach the cluster; Ray's own limit is a quarter of an hour.
_PORT_S, _JOIN_S = 5.0, 25.0
# Set in the jobs that `ray job submit` starts, which have their own runtime environment.
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def run_ray(maker: ShardMaker, out: Path, shards: Mapping[int, range], workers: int) -> Iterator[int]:
    """Generates shards as tasks of a Ray cluster: the one that ``RAY_ADDRESS`` names, or one started on this machine.

    A task makes one shard in a temporary folder of its machine and returns its files, which this process writes: only
    this process needs ``out``. At most ``workers`` shards are made or wait to be written at a time, and a shard whose
    worker or machine dies is made again on another one. The code of this process is sent to the cluster that
    ``RAY_ADDRESS`` names; its libraries must have the same versions. Segments and backgrounds are read by the same
    paths as here, and must be the same on all machines; relative paths begin in this process's working directory.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If ``RAY_ADDRESS`` names a cluster that does not respond.
        RuntimeError: If workers keep dying, run other code or libraries than this process, or have other segments or
            backgrounds.
    """
    ray = require("ray", "`executor='ray'`", "pip install 'sos_mm[ray]'")
    if not shards:
        return
    started = _join_cluster(ray, workers)
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_make_shard)
    try:
        run = ray.put(_Run.of(maker))
        for shard in _results(ray, lambda number: task.remote(run, number, shards[number]), shards, workers):
            yield shard.write(out)
    except ray.exceptions.RayTaskError as error:
        # Ray wraps the original error class.
        raise error.cause from None
    except ray.exceptions.RuntimeEnvSetupError as error:
        raise RuntimeError(f"The code of sos_mm could not be sent to the Ray cluster: {_reason(error)}.") from error
    except ray.exceptions.RayError as error:
        raise RuntimeError(
            f"Workers of the Ray cluster keep dying: {_reason(error)}. Finished shards are kept in {out}: run the same "
            "command again, with fewer workers if memory is short."
        ) from error
    finally:
        if started:
            ray.shutdown()


def _results(ray, start: Callable[[int], Any], numbers: Iterable[int], in_flight: int) -> Iterator[PackedShard]:
    """Starts a task for each number, at most so many at a time; yields the results as they are there.

    The next task is started before a result is handed out, and the result is not fetched to this machine before. Tasks
    that nobody waits for any more are cancelled.
    """
    waiting = iter(numbers)
    busy: list[Any] = []
    try:
        while True:
            busy += [start(number) for number in islice(waiting, in_flight - len(busy))]
            if not busy:
                return
            (done,), busy = ray.wait(busy, fetch_local=False)
            busy += [start(number) for number in islice(waiting, 1)]
            yield ray.get(done)
    finally:
        if ray.is_initialized():
            for task in busy:
                ray.cancel(task, force=True)


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
        # Ray tells it in the text of the cause alone.
        if "AuthenticationError" in f"{error!r} {error.__cause__}":
            raise ConnectionError(
                f"`RAY_ADDRESS` names the Ray cluster {address!r}, which asks for a token: put that of the head "
                "into ~/.ray/auth_token on all machines, and `export RAY_AUTH_MODE=token`."
            ) from error
        raise _unreachable(address, _reason(error)) from error
    return True


def _initialize(ray, **options: Any) -> None:
    ray.init(**options, log_to_driver=False, logging_level="ERROR")


def _try_initialize(ray, outcome: "queue.Queue[Exception | None]") -> None:
    try:
        _initialize(ray, **_carrying_code())
    except Exception as error:
        outcome.put(error)
    else:
        outcome.put(None)


def _carrying_code() -> dict[str, Any]:
    """Returns the options by which Ray sends this process's code to all machines, unless its job has its own."""
    if _JOB in os.environ:
        return {}
    return {"runtime_env": {"py_modules": [str(Path(sos_mm.__file__).parent)], "excludes": ["__pycache__"]}}


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
        "--head`, join it from this machine with `ray start --address`, correct the address, or unset RAY_ADDRESS to "
        "use this machine alone."
    )


@dataclass(frozen=True)
class _Run:
    """What a worker must know of a run, and what must be the same there as in the main process.

    Args:
        name: Another one for each run.
        recipe: The recipe.
        seed: The seed of the data set.
        left_out: Names of photographs of the backgrounds that are not used.
        folder: Working directory of the main process.
        code: Its `code_hash`.
        libraries: Its `library_facts`.
        sources: Content hashes of its segments, backgrounds and vocabulary.
    """

    name: str
    recipe: Recipe
    seed: int
    left_out: Collection[str]
    folder: str
    code: str
    libraries: Mapping[str, Any]
    sources: Mapping[str, str]

    @classmethod
    def of(cls, maker: ShardMaker) -> "_Run":
        """Describes a run of this process."""
        settings = maker.recipe, maker.seed, maker.left_out, os.getcwd(), code_hash(), library_facts(), maker.sources
        return cls(uuid.uuid4().hex, *settings)

    def open(self) -> ShardMaker:
        """Opens the sources in a worker process.

        Raises:
            RuntimeError: If code, libraries, segments or backgrounds are not those of the main process.
        """
        check_same_code({"code": self.code, "libraries": self.libraries}, code_hash(), library_facts())
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        cv2.setNumThreads(1)
        try:
            maker = ShardMaker(self.recipe, self.seed, self.left_out)
            different = [name for name, value in self.sources.items() if maker.sources[name] != value]
        except (ImportError, OSError, ValueError) as error:
            raise RuntimeError(_other_sources(f"cannot be opened ({error})")) from error
        if different:
            raise RuntimeError(_other_sources(f"are others than here ({', '.join(different)})"))
        return maker


def _other_sources(told: str) -> str:
    return (
        f"The segments and backgrounds of the recipe {told} on {socket.gethostname()}, a machine of the Ray cluster: "
        "all its machines must have the same files at the same paths, on a shared file system or copied; or, on object "
        "storage, its package and the credentials."
    )


# The maker of this worker process, with the name of its run.
_opened: tuple[str, ShardMaker] | None = None


def _make_shard(run: _Run, number: int, indices: range) -> PackedShard:
    """Makes a shard in a worker process, which opens the sources at its first one."""
    global _opened
    if _opened is None or _opened[0] != run.name:
        _opened = run.name, run.open()
    with tempfile.TemporaryDirectory(prefix="sos_mm-") as folder:
        out = Path(folder)
        (out / WORK).mkdir()
        _opened[1].make(out, number, indices)
        return PackedShard.read(out, number)


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
