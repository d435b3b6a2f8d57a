"""A process that has run a command once, and forks one process for each command that it is told to run.

Most of a short command's time goes into imports; a forked process begins after them. Each line on stdin is a request
in JSON, each line on stdout its answer.
"""

import contextlib
import json
import os
import signal
import sys
from importlib import import_module


def serve(modules: list[str]) -> dict | None:
    """Answers requests until the end of stdin, and returns None; in a forked process, returns what it is to run."""
    for module in modules:
        import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        if "warm" in asked:
            _warm_up(asked)
            print(json.dumps(_threads()), flush=True)
            continue
        child = os.fork()
        if child == 0:
            return asked
        for _ in range(2):  # Both set it, whichever comes first.
            try:
                os.setpgid(child, asked["group"] or child)
                break
            except ProcessLookupError:
                break
        print(child, flush=True)
    return None


def _warm_up(asked: dict) -> None:
    """Runs a command in this process, for what it imports and keeps."""
    import cv2
    import tqdm

    from sos_mm.cli import main

    # No thread may outlive it: they do not survive a fork.
    cv2.setNumThreads(1)
    tqdm.tqdm.monitor_interval = 0
    os.chdir(asked["folder"])
    if asked["setup"]:
        exec(asked["setup"], {})
    with contextlib.redirect_stdout(sys.stderr):
        assert not main(asked["warm"])
    os.chdir("/")


def _threads() -> list[str]:
    """Names of the threads of this process; not that of pyarrow's allocator, which survives a fork."""
    names = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as file:
            names.append(file.read().strip())
    return [name for name in names if name != "jemalloc_bg_thd"]


def become(asked: dict) -> list[str]:
    """Turns this process into the command that is asked for, and returns the command's arguments."""
    os.setpgid(0, asked["group"])
    os.chdir(asked["folder"])
    for stream, name in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        opened = os.open(name, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, stream)
        os.close(opened)
    os.environ.update(asked["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["sos-mm", *asked["argv"]]
    if asked["setup"]:
        exec(asked["setup"], {})
    import_module("tests.faults.kills.hook.sitecustomize")  # Heeds the environment.
    return asked["argv"]


if __name__ == "__main__":
    request = serve(sys.argv[1:])
    if request is not None:
        argv = become(request)
        from sos_mm.cli import main

        sys.exit(main(argv))
