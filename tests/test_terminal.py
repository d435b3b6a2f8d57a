"""What commands write to the terminal while they work."""

import fcntl
import io
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import redirect_stdout
from itertools import pairwise

import pytest

from sos_mm.terminal import log_prints, progress_bar

COUNT = """
from sos_mm.terminal import progress_bar
with progress_bar(range(100), total=100, unit='images') as bar:
    for _ in bar:
        pass
"""


@pytest.mark.parametrize("total", [1, 4, 10, 33, 1000])
def test_a_log_gets_a_line_every_tenth_of_the_way(total, capsys):
    with progress_bar(range(total), total=total, unit="images") as bar:
        assert list(bar) == list(range(total))
    said = capsys.readouterr().err
    assert said.endswith("\n")
    # The one before anything is done, and that of the end.
    lines = [int(done) for done in re.findall(rf"\r(\d+)/{total} images, ", said)]
    assert len(lines) <= 12
    assert (lines[0], lines[-1]) == (0, total)
    assert all(after - before >= total / 10 for before, after in pairwise(lines[:-1]))


@pytest.mark.parametrize(("total", "shown"), [(0, True), (7, False)])
def test_nothing_is_said(total, shown, capsys):
    with progress_bar(range(total), total=total, unit="images", shown=shown) as bar:
        assert len(list(bar)) == total
    assert capsys.readouterr().err == ""


def test_an_error_begins_on_a_line_of_its_own(capsys):
    def fail():
        with progress_bar(range(9), total=9, unit="images") as bar:
            for _ in bar:
                raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert capsys.readouterr().err.endswith("\n")


def said_to(main):
    """All that was written to a terminal whose other end is closed; one read may give a part."""
    said = b""
    while True:
        try:
            part = os.read(main, 2**16)
        except OSError:  # How Linux says that it is closed.
            part = b""
        if not part:
            return said.decode()
        said += part


@pytest.mark.parametrize("columns", [0, 60])
def test_a_terminal_gets_one_line(columns):
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    done = subprocess.run([sys.executable, "-c", COUNT], stderr=terminal, stdout=subprocess.PIPE)
    os.close(terminal)
    said = said_to(main)
    os.close(main)
    assert done.returncode == 0
    assert said.count("\n") == 1
    assert "100%|" in said
    assert "100/100" in said
    assert max(map(len, said.split("\r"))) <= (columns or 80)


def test_prints_of_a_module_go_to_its_log(tmp_path, monkeypatch, capsys, caplog):
    (tmp_path / "chatter.py").write_text("def say(*values, **options):\n    print(*values, **options)\n")
    monkeypatch.syspath_prepend(tmp_path)
    log_prints("chatter")
    import chatter

    page = io.StringIO()
    with caplog.at_level(logging.DEBUG):
        chatter.say("index", "created!", sep=" is ", end="")
        chatter.say("kept", file=page)
        with redirect_stdout(page):
            chatter.say("collected", 1)
    assert capsys.readouterr() == ("", "")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("chatter", "index is created!")]
    assert page.getvalue() == "kept\ncollected 1\n"
