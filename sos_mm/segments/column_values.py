"""Single values of Arrow columns, read from their buffers: an Arrow scalar costs five times as much."""

from collections.abc import Callable
from typing import Any


class Getters(dict):
    """What gets single values of an Arrow record batch, by the name of the column; made when first asked for."""

    def __init__(self, batch: Any):
        super().__init__()
        self._batch = batch

    def __missing__(self, name: str) -> Callable[[int], Any]:
        self[name] = getter(self._batch.column(name))
        return self[name]


def getter(column: Any) -> Callable[[int], Any]:
    """A function from a place in an Arrow array to the Python value there.

    Args:
        column: Strings, lists of strings (which come as tuples), whole or broken numbers, truth values. Only
            the last may be null, for None.
    """
    kind = str(column.type)
    if kind == "string":
        return _strings(column)
    if kind.startswith("list"):
        edges, get = _edges(column), _strings(column.values)
        return lambda place: tuple(map(get, range(edges[place], edges[place + 1])))
    if kind == "bool":
        values, meanings = column.cast("int8").fill_null(2).to_numpy().item, (False, True, None)
        return lambda place: meanings[values(place)]
    return column.to_numpy().item


def _strings(column: Any) -> Callable[[int], str]:
    edges, data = _edges(column), column.buffers()[2]
    view = memoryview(data if data is not None else b"")
    return lambda place: str(view[edges[place] : edges[place + 1]], "utf-8")


def _edges(column: Any) -> memoryview:
    """Where each value begins, and the last one ends."""
    offsets = column.buffers()[1]
    if offsets is None:
        return memoryview(b"\0\0\0\0").cast("i")
    return memoryview(offsets).cast("i")[column.offset : column.offset + len(column) + 1]
