"""Runs tools in this process, and judges how they ended."""

import contextlib
import hashlib
import io
import os
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import sos_mm.cli

TOOLS = Path(sos_mm.cli.__file__).parents[2] / "tools"


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: Its exit code; None if an exception left it.
        out, err: What it printed.
        raised: The exception that left it, as text.
    """

    code: int | None
    out: str
    err: str
    raised: str = ""

    @property
    def line(self) -> str:
        """The last line on stderr."""
        lines = [line for line in re.split(r"[\r\n]", self.err) if line.strip()]
        return lines[-1] if lines else ""


def run(argv: Sequence[object]) -> Ending:
    """Runs `sos-mm` with arguments, or a file of ``tools/`` whose name the first of them is."""
    words, out, err = [str(each) for each in argv], io.StringIO(), io.StringIO()
    code: int | None = None
    raised = ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.dict(os.environ):
        os.environ.pop("SOS_MM_DEBUG", None)
        try:
            if words[0].endswith(".py"):
                with mock.patch.object(sys, "argv", [str(TOOLS / words[0]), *words[1:]]):
                    runpy.run_path(str(TOOLS / words[0]), run_name="__main__")
                code = 0
            else:
                code = int(sos_mm.cli.main(words) or 0)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
    return Ending(code, out.getvalue(), err.getvalue(), raised)


def state(folder: Path) -> dict[str, str]:
    """Returns the hash of each file below a folder; folders without files do not count."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def complaint_about_refusal(ended: Ending, says: str) -> str | None:
    """Returns what is wrong with a refusal; None if it is clean.

    It must be exit code 2 and one line on stderr that begins with ``error: ``, ends with a full stop, and matches
    ``says``, which names the file or the key. Errors of argparse, which come after its usage, name the option.
    """
    if ended.raised:
        return f"a traceback: {ended.raised}"
    if ended.code == 0:
        return "accepted"
    if ended.code != 2 or "Traceback" in ended.err:
        return f"exit code {ended.code}"
    line = ended.line
    if not line.startswith("error: ") and " error: " not in line:
        return f"not one line: {ended.err[-300:]!r}"
    return None if re.search(says, line) else f"does not say {says!r}: {line}"


def complaint_about_finding(ended: Ending, says: str) -> str | None:
    """Returns what is wrong with the report of a faulty file: exit code 1, and a text on stdout that matches."""
    if ended.raised:
        return f"a traceback: {ended.raised}"
    if ended.code != 1:
        return "accepted" if ended.code == 0 else f"exit code {ended.code}: {ended.line}"
    return None if re.search(says, ended.out) else f"does not say {says!r}: {ended.out}"


def complaint_about_acceptance(ended: Ending, right: Callable[[Path, Ending], str | None], folder: Path) -> str | None:
    """Returns what is wrong with an accepted input: it must end with exit code 0, and its result must be right."""
    if ended.raised:
        return f"a traceback: {ended.raised}"
    return f"exit code {ended.code}: {ended.line}" if ended.code else right(folder, ended)
