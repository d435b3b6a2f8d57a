"""A signal interrupts a command where exceptions are swallowed, too."""

import ctypes
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, threading, time
from sos_mm.cli.signals import Terminated, _Interruption, ended_by_signals

# A signal comes again only after what is printed before, however slow the machine is.
printed, send_again = threading.Event(), _Interruption._send
_Interruption._send = lambda self: printed.wait() and send_again(self)

def send():
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):
        pass  # Where the handler runs.

class Finalized:
    def __del__(self):
        send()

def swallowing():
    code = "try:\\n    send()\\nexcept BaseException:\\n    pass"
    exec(code, {"__name__": "numba.core", "send": send})

try:
    with ended_by_signals():
        PLACE
        print("went on", flush=True)
        printed.set()
        time.sleep(60)
except Terminated:
    print("interrupted", flush=True)
    time.sleep(SECONDS)
"""


def run(place: str, seconds: float = 0) -> subprocess.Popen:
    script = SCRIPT.replace("PLACE", place).replace("SECONDS", str(seconds))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("place", ["Finalized()", "swallowing()"])
def test_a_swallowed_signal_comes_again(place):
    out, told = (process := run(place)).communicate(timeout=50)
    assert (out.split("\n")[:2], told) == (["went on", "interrupted"], "")
    assert process.returncode == 0


def test_the_first_signal_interrupts_at_once():
    out, _ = run("send()").communicate(timeout=50)
    assert out == "interrupted\n"


@pytest.mark.parametrize("place", ["send()", "Finalized()"])
def test_the_second_signal_ends_the_process(place):
    process = run(place, 60)
    assert "interrupted\n" in iter(process.stdout.readline, "")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGINT


def test_a_child_process_ends_by_a_signal_as_without_the_handlers():
    place = """
        ready, begun = os.pipe()
        child = os.fork()
        if not child:
            os.write(begun, b"1")
            time.sleep(60)
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        sys.exit()
    """.strip()
    out, told = run(place).communicate(timeout=50)
    assert (out, told) == (f"-{int(signal.SIGTERM)}\n", "")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "__register_atfork"), reason="needs glibc")
def test_a_signal_during_the_fork_of_a_child_process_is_not_lost():
    """The child waits within the fork, before Python forgets the signals that have come until then."""
    place = """
        import ctypes
        libc = ctypes.CDLL(None)
        libc["__register_atfork"](None, None, ctypes.cast(libc.pause, ctypes.c_void_p), None)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        child = os.fork()
        if not child:
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            os.kill(child, signal.SIGUSR1)  # Ends its wait, if it has begun.
            time.sleep(0.01)
        print(os.waitstatus_to_exitcode(ended[1]), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """.strip()
    out, told = run(place).communicate(timeout=50)
    assert (out, told) == (f"-{int(signal.SIGTERM)}\ninterrupted\n", "")


def test_what_a_finalizer_raises_otherwise_is_still_reported():
    place = """
        Finalized.__del__ = lambda self: 1 / 0
        Finalized()
        sys.exit()
    """.strip()
    out, told = run(place).communicate(timeout=50)
    assert out == ""
    assert "Exception ignored in" in told
    assert "ZeroDivisionError" in told
