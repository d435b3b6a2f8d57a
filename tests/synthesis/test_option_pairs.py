"""All pairs of a recipe's options: what every combination writes passes our own validator."""

from itertools import combinations
from pathlib import Path

import pytest

from sos_mm.annotations.options import Options
from sos_mm.annotations.validate import validate
from sos_mm.synthesis import Recipe, synthesize
from tests.helpers.composed import recipe_dict

_FORMATS = ["coco", "objects", "odvg"]
# Values of each option; the first ones together are the plain recipe. Options of formats are those of the dict.
VALUES = {
    "canvas": [(96, 96), (64, 160)],
    "backgrounds": [{"type": "plain"}, {"type": "gradient"}, {"type": "texture"}, {"type": "none"}],
    "layout": [
        {"type": "StructuredLayout", "counts": (3, 6), "crowded": "fewer", "min_visible": 0.0, "min_mean_visible": 0.0},
        {"type": "RandomLayout", "counts": (6, 9), "rotation": 45, "hue": 0.5},
        {"type": "RandomLayout", "counts": (4, 6), "sizes": "own"},
        {"type": "DepthLayout", "counts": (3, 6), "crowded": "fewer"},
    ],
    "sampling": ["category", "uniform", "single_category"],
    "background_categories": [None, [], "unknown", ["apple"]],
    "effects": [(), "default", ({"type": "DepthOfField"},)],
    "min_visible_share": [0.5, 0.0, 0.95],
    "min_area": [16, 1, 200],
    "keep_ignored": [False, True],
    "vocabulary": [
        None,
        {"ring": 90, "red_apple": 2, "apple": 5, "Käse №5": 300, "bat (animal)": 7, "unseen thing": 12},
        ["ring", "red apple", "apple", "Käse №5", "bat (animal)"],
    ],
    "image_format": ["png", "jpg"],
    "lvis": [{}, {"negatives": 0}, {"negatives": 100}],
    "panoptic": [{}, {"background": "unseen thing"}, {"background": "wall"}],
    "yolo": [{}, {"parts": "largest", "tolerance": 0}],
}


def rows(values: dict[str, list]) -> list[dict[str, int]]:
    """Chooses rows of values, as their places, so that each pair of values of two options is in one of them.

    Greedy: a row begins with an uncovered pair, and each further option gets the value with most uncovered pairs.
    """
    names = list(values)
    left = {
        ((one, i), (other, j))
        for one, other in combinations(names, 2)
        for i in range(len(values[one]))
        for j in range(len(values[other]))
    }
    found = []
    while left:
        row = dict(min(left))
        for name in names:
            if name not in row:
                row[name] = max(
                    range(len(values[name])), key=lambda place: len(_pairs({**row, name: place}, names) & left)
                )
        left -= _pairs(row, names)
        found.append(row)
    return found


def _pairs(row: dict[str, int], names: list[str]) -> set:
    return set(combinations([(name, row[name]) for name in names if name in row], 2))


ROWS = rows(VALUES)


def test_rows_hold_every_pair():
    names = list(VALUES)
    for one, other in combinations(names, 2):
        assert {(row[one], row[other]) for row in ROWS} == {
            (i, j) for i in range(len(VALUES[one])) for j in range(len(VALUES[other]))
        }


def compose(row: dict[str, int], folder: Path) -> dict:
    """Returns the recipe of a row; transparent scenes need PNG files, and expressions known backgrounds."""
    chosen = {name: VALUES[name][place] for name, place in row.items()}
    formats = [*_FORMATS, *({"type": name, **chosen.pop(name)} for name in ("lvis", "panoptic", "yolo"))]
    if chosen["background_categories"] != "unknown":
        formats.append("referring")
    if chosen["backgrounds"]["type"] == "none":
        chosen["image_format"] = "png"
    return {**recipe_dict(folder), **chosen, "formats": formats}


def faults_of(made: Path) -> list[str]:
    """Returns the reports of all annotation files that the validator finds fault with."""
    files = {
        "instances.json": Options(made / "images"),
        "lvis_v1.json": Options(made),
        "panoptic.json": Options(made / "images", made / "panoptic"),
        "odvg_detection.jsonl": Options(made / "images", label_map=made / "annotations/odvg_label_map.json"),
        "odvg_grounding.jsonl": Options(made / "images"),
    }
    found = [validate(made / "annotations" / name, options=options) for name, options in files.items()]
    return [each.describe() for each in found if each.counts]


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] if place >= 2 else []) for place, row in enumerate(ROWS)]
)
def test_what_every_combination_writes_is_valid(row, tmp_path):
    recipe = Recipe.from_dict(compose(row, tmp_path))
    synthesize(recipe, tmp_path / "made", 2, seed=sum(row.values()), progress=False)
    assert faults_of(tmp_path / "made") == []


def test_ignored_regions_of_lvis(tmp_path):
    """A category that only an ignore region has is annotated nowhere: LVIS must not list it as not exhaustive."""
    recipe = recipe_dict(
        tmp_path,
        canvas=(96, 96),
        keep_ignored=True,
        min_visible_share=0.95,
        formats=["lvis", "coco", "panoptic", "odvg"],
    )
    synthesize(Recipe.from_dict(recipe), tmp_path / "made", 6, progress=False)
    files = {name: validate(tmp_path / "made/annotations" / name) for name in ("lvis_v1.json", "instances.json")}
    assert [each.describe() for each in files.values() if each.counts] == []
    assert '"iscrowd":1' in (tmp_path / "made/annotations/instances.json").read_text()
