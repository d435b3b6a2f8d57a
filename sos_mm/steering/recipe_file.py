"""Writes the recipe of the next round: a config file that inherits the last one and names its changes."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import atomic_text
from sos_mm.checks import writable_folder
from sos_mm.formats.phrases import category_key
from sos_mm.steering.failures import Failures, Tally
from sos_mm.steering.rules import Changes
from sos_mm.synthesis.recipe import Recipe


def write_next_recipe(
    out: str | Path, base: str | Path, recipe: Recipe, changes: Changes, failures: Failures, source: str
) -> None:
    """Writes the recipe of the next round.

    Args:
        out: The config file to write, which inherits ``base`` by its path relative to this file.
        base: The config file of the last round's recipe.
        recipe: The recipe in it.
        changes: What is different in the next round.
        failures: The failures that led to the changes, for comments.
        source: Description of the results, for the first comment.

    Raises:
        ValueError: If ``out`` is ``base``, or the changed recipe is invalid.
        OSError: If it cannot be written.
    """
    out, base = Path(out), Path(base)
    if out.suffix != ".py":
        raise ValueError(f"`out` must be the name of a config file, ending in .py, but got {out}.")
    if out.resolve() == base.resolve():
        raise ValueError(f"`out` must be another file than the recipe of the last round, {base}, which it inherits.")
    changed_recipe(recipe, changes)
    relative = Path(os.path.relpath(base.resolve(), out.resolve().parent)).as_posix()
    writable_folder(out.parent, "The folder of the next recipe")
    with atomic_text(out) as file:
        file.write("\n".join(_lines(relative, recipe, changes, failures, source)) + "\n")


def changed_recipe(recipe: Recipe, changes: Changes) -> Recipe:
    """Returns a recipe with its changes, which equals the one read from the written file.

    Raises:
        ValueError: If it is invalid.
    """
    content = recipe.to_dict()
    segments = content["segments"] | {"category_weights": dict(changes.category_weights)}
    if changes.category_pairs is not None or "category_pairs" in segments:
        segments["category_pairs"] = changes.category_pairs
    layout = content["layout"] | dict(changes.layout)
    return Recipe.from_dict(content | {"sampling": "weighted", "segments": segments, "layout": layout})


def _lines(base: str, recipe: Recipe, changes: Changes, failures: Failures, source: str) -> Iterator[str]:
    total = failures.total
    yield f"# Steered by {source}: {_describe(total)}, at scores from {failures.score:.3g} on."
    for name, tallies in failures.by_condition.items():
        listed = ", ".join(f"{kind} {each.failed} of {each.objects}" for kind, each in tallies.items() if each.objects)
        yield f"# Failed by {name}: {listed}."
    if changes.unused:
        yield f"# Categories of the labels that the segments lack: {', '.join(changes.unused)}."
    yield f"_base_ = {json.dumps(base)}"
    yield 'sampling = "weighted"'
    yield "segments = dict("
    yield from _weights(recipe, changes, failures)
    yield from _pairs(recipe, changes)
    yield ")"
    if changes.layout:
        yield "layout = dict("
        yield from (f"    {key}={_literal(value)}," for key, value in changes.layout.items())
        yield ")"


def _weights(recipe: Recipe, changes: Changes, failures: Failures) -> Iterator[str]:
    tallies = {category_key(name): tally for name, tally in failures.by_category.items()}
    yield "    category_weights={"
    if "category_weights" in recipe.segments:
        yield '        "_delete_": True,  # All weights stand here.'
    for name, weight in changes.category_weights.items():
        tally = tallies.get(category_key(name))
        comment = f"  # {_describe(tally)}" if tally else ""
        yield f"        {_quoted(name)}: {weight:g},{comment}"
    yield "    },"


def _pairs(recipe: Recipe, changes: Changes) -> Iterator[str]:
    if changes.category_pairs is None:
        if "category_pairs" in recipe.segments:
            yield "    category_pairs=None,"
        return
    yield "    category_pairs=dict("
    if recipe.segments.get("category_pairs"):
        yield "        _delete_=True,"
    yield f"        share={changes.category_pairs['share']:g},"
    yield "        pairs=["
    for name, other, weight in changes.category_pairs["pairs"]:
        yield f"            ({_quoted(name)}, {_quoted(other)}, {weight:g}),"
    yield "        ],"
    yield "    ),"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _describe(tally: Tally) -> str:
    return f"{tally.failed} of {tally.objects} failed ({tally.missed} missed, {tally.confused} confused)"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"dict({', '.join(f'{key}={each!r}' for key, each in value.items())})"
    return repr(value)
