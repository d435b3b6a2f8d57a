"""Options that change from epoch to epoch, such as a probability that rises: curricula as part of a config.

A schedule is a dict in the place of a number or of a list of numbers, at any depth of an option:

- ``dict(type='Linear', begin=1, end=8, start=0, stop=10)``: ``begin`` up to epoch ``start``, ``end`` from epoch
  ``stop`` on, and between them on a straight line. Between integers it gives integers, rounded.
- ``dict(type='Steps', values=[0.2, 0.5], epochs=[4])``: the first value before the first of the epochs, the second from
  it on, and so on.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sos_mm.checks import check_choice, check_integer

_LAST = 2**31


@dataclass(frozen=True)
class Window:
    """The epochs in which a transform acts, and how its probability rises at their beginning.

    Attributes:
        start_epoch: The first one, from 0.
        warmup_epochs: Number of epochs over which the probability rises linearly.
        stop_epoch: The first one after them; None if there is no end.

    Raises:
        ValueError: If a number is out of its range.
    """

    start_epoch: int = 0
    warmup_epochs: int = 0
    stop_epoch: int | None = None

    def __post_init__(self):
        check_integer("start_epoch", self.start_epoch, 0, _LAST)
        check_integer("warmup_epochs", self.warmup_epochs, 0, _LAST)
        if self.stop_epoch is not None:
            check_integer("stop_epoch", self.stop_epoch, self.start_epoch, _LAST)

    @property
    def is_always(self) -> bool:
        """Whether all epochs are alike."""
        return self == Window()

    def factor(self, epoch: int) -> float:
        """Returns the factor on the probability in an epoch."""
        if epoch < self.start_epoch or (self.stop_epoch is not None and epoch >= self.stop_epoch):
            return 0.0
        return min((epoch - self.start_epoch + 1) / (self.warmup_epochs + 1), 1.0)


def at_epoch(option: Any, epoch: int) -> Any:
    """Returns an option with the values of its schedules in an epoch, counted from 0.

    Args:
        option: The option; its schedules must have passed `turning_epochs`.
        epoch: The epoch.
    """
    if is_schedule(option):
        return _SCHEDULES[option["type"]](option, epoch)
    if isinstance(option, Mapping):
        return {key: at_epoch(value, epoch) for key, value in option.items()}
    if isinstance(option, list | tuple):
        return type(option)(at_epoch(value, epoch) for value in option)
    return option


def is_schedule(option: Any) -> bool:
    """Returns whether an option is a schedule itself."""
    return isinstance(option, Mapping) and option.get("type") in tuple(_SCHEDULES)


def turning_epochs(options: Mapping[str, Any], typed: Collection[str] = ()) -> set[int]:
    """Returns the epochs at which schedules of options begin, end or step; empty if they have no schedules.

    Args:
        options: The options by name.
        typed: Names of those that are dicts with a ``type`` of another kind, such as a layout's.

    Raises:
        ValueError: If a schedule is of an unknown type, lacks a key, has an unknown one, or a wrong value. Names it.
    """
    found: set[int] = set()
    for name, schedule in _schedules_in(options, typed):
        try:
            _check(schedule)
        except ValueError as error:
            raise ValueError(f"The schedule `{name}`: {error}") from error
        linear = schedule["type"] == "Linear"
        found |= {schedule.get("start", 0), schedule["stop"]} if linear else {0, *schedule["epochs"]}
    return found


def _schedules_in(part: Any, typed: Collection[str], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields dotted name and value of each schedule in a part of the options; refuses what is meant as one."""
    pairs = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list | tuple) else ()
    for key, value in pairs:
        name = f"{above}{key}"
        if is_schedule(value):
            yield name, value
            continue
        if isinstance(value, Mapping) and name not in typed and value.keys() & _MARKS:
            check_choice(f"{name}.type", value.get("type"), _SCHEDULES)
        yield from _schedules_in(value, typed, f"{name}.")


def _check(schedule: Mapping[str, Any]) -> None:
    kind = schedule["type"]
    needed, possible = _KEYS[kind]
    for key in needed:
        if key not in schedule:
            raise ValueError(f"A schedule of type {kind!r} must have `{key}`, but has only {sorted(schedule)}.")
    for key in schedule:
        if key not in (*needed, *possible, "type"):
            raise ValueError(f"A schedule of type {kind!r} must have {needed + possible}, but also has {key!r}.")
    if kind == "Linear":
        check_integer("start", schedule.get("start", 0), 0, _LAST)
        check_integer("stop", schedule["stop"], schedule.get("start", 0) + 1, _LAST)
        _between(schedule["begin"], schedule["end"], 0.5)
        return
    epochs, values = schedule["epochs"], schedule["values"]
    for key, value in (("epochs", epochs), ("values", values)):
        if not isinstance(value, list | tuple):
            raise ValueError(f"`{key}` of a schedule must be a list, but got {value!r}.")
    for epoch in epochs:
        check_integer("epochs", epoch, 1, _LAST)
    if len(values) != len(epochs) + 1 or any(first >= second for first, second in pairwise(epochs)):
        raise ValueError(f"`epochs` must ascend, and `values` be one more, but got {list(epochs)} and {list(values)}.")


def _linear(schedule: Mapping[str, Any], epoch: int) -> Any:
    start, stop = schedule.get("start", 0), schedule["stop"]
    return _between(schedule["begin"], schedule["end"], min(max((epoch - start) / (stop - start), 0.0), 1.0))


def _steps(schedule: Mapping[str, Any], epoch: int) -> Any:
    return schedule["values"][sum(epoch >= each for each in schedule["epochs"])]


_SCHEDULES: dict[Any, Callable[[Mapping[str, Any], int], Any]] = {"Linear": _linear, "Steps": _steps}
# Keys that must be given, and keys that may be.
_KEYS = {"Linear": (("begin", "end", "stop"), ("start",)), "Steps": (("values", "epochs"), ())}
# A dict with one of them is meant as a schedule.
_MARKS = {"type", *(key for needed, _ in _KEYS.values() for key in needed)}


def _between(begin: Any, end: Any, share: float) -> Any:
    """Interpolates between two numbers, or between the numbers of two lists or dicts of the same form."""
    if isinstance(begin, Mapping) and isinstance(end, Mapping) and begin.keys() == end.keys():
        return {key: _between(begin[key], end[key], share) for key in begin}
    if _is_list(begin) and _is_list(end) and len(begin) == len(end):
        return [_between(first, second, share) for first, second in zip(begin, end, strict=True)]
    if not (_is_number(begin) and _is_number(end)):
        raise ValueError(f"`begin` and `end` must be numbers, or lists or dicts alike, but got {begin!r} and {end!r}.")
    # The ends are exact.
    if share in (0.0, 1.0):
        return end if share else begin
    value = begin + (end - begin) * share
    return round(value) if isinstance(begin, int) and isinstance(end, int) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
