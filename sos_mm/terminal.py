"""Terminal output of commands: progress bars, and redirection of the output of libraries to logs."""

import logging
import math
import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from sos_mm.compat import import_quietly

# Format for log files, where lines are not overwritten: counts without a bar.
_PLAIN = "{n_fmt}/{total_fmt}{unit}, {rate_fmt}, {remaining} left"


def progress_bar(values: Iterable | None = None, *, total: int, unit: str, shown: bool = True) -> tqdm:
    """Creates a progress bar on stderr; use it in a ``with`` block, so that an error starts on a new line.

    On a terminal it is one line that is overwritten. Elsewhere, as in a log file, a line is written at every tenth of
    the total.

    Args:
        values: The values to iterate over; None to call ``update`` with the number of finished ones instead.
        total: Number of values.
        unit: Name of the values, such as 'images'.
        shown: Whether to show the bar.

    Returns:
        The bar; iterating over it yields the values.
    """
    options: dict[str, Any]
    if not sys.stderr.isatty():
        # With a finite `maxinterval` a thread of tqdm has it write in between.
        options = dict(bar_format=_PLAIN, miniters=math.ceil(total / 10), mininterval=0, maxinterval=math.inf)
    elif os.get_terminal_size(sys.stderr.fileno()).columns:
        options = dict(dynamic_ncols=True)
    else:
        # A terminal that does not know its size, as some containers have it.
        options = dict(ncols=80)
    return tqdm(values, total=total, unit=f" {unit}", disable=not (shown and total), **options)


def log_prints(*modules: str) -> None:
    """Redirects the output of `print` in some modules to their loggers, at level DEBUG.

    Inside `contextlib.redirect_stdout` they print as usual: mmdet collects pycocotools' tables in this way.

    Args:
        modules: Names of modules that call `print`; imported here.

    Raises:
        ImportError: If one cannot be imported.
    """
    for name in modules:
        import_quietly(name)
        # Found before the built-in function of that name.
        vars(sys.modules[name])["print"] = _LoggedPrint(name)


class _LoggedPrint:
    """Stands for `print` in a module: writes to a logger unless the text goes elsewhere than to the terminal."""

    def __init__(self, name: str):
        self._logger, self._stdout = logging.getLogger(name), sys.stdout

    def __call__(self, *values: object, sep: str | None = " ", file: Any = None, **options: Any) -> None:
        if file is None and sys.stdout is self._stdout:
            self._logger.debug("%s", (" " if sep is None else sep).join(map(str, values)))
        else:
            print(*values, sep=sep, file=file, **options)
