"""Runs `sos-mm` and the tools in this process: a new one would import all libraries again."""

import contextlib
import io
import os
import re
import runpy
import sys
from collections.abc import Sequence
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
