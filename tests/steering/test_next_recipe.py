"""The changes that follow from failures, and the config file of the next round."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.cli import main
from sos_mm.steering import Failures, Rules, Tally, next_changes, write_next_recipe
from sos_mm.steering.conditions import CROWDING, SIZES, VISIBILITY
from sos_mm.steering.recipe_file import changed_recipe
from sos_mm.synthesis import Recipe, synthesize
from tests.steering.labelled import detection

pytest.importorskip("mmengine.config")
INCLUDE = ["apple/red_apple", "dog/tan_dog", "car/blue_suv", "sports_ball/soccer_ball"]
BASE = """
canvas = (64, 64)
segments = dict(type="sample", include={include})
layout = dict(
    type="StructuredLayout", counts=(2, 6), shares=dict(large=0.5, medium=0.5, small=0.0),
    areas=dict(large=(0.08, 0.4), medium=(0.03, 0.08), small=(0.01, 0.03)), crowded="fewer", max_enlargement=None,
)
formats = ["coco", "objects"]
"""
FOUND = Tally(20)


def failures(by_category, sizes=None, crowding=(3.0, 3.0), visible=(0.9, 0.9), pairs=None, confused=0):
    """Failures of a hand-made detector."""
    total = Tally(
        *(sum(getattr(each, key) for each in by_category.values()) for key in ("objects", "missed")), confused
    )
    none = {"crowding": dict.fromkeys(CROWDING, Tally()), "visibility": dict.fromkeys(VISIBILITY, Tally())}
    by_condition = {"size": {name: (sizes or {}).get(name, Tally()) for name in SIZES}, **none}
    return Failures(total, by_category, by_condition, {}, pairs or {}, crowding, visible, 0.3, "boxes")


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "rounds" / "base.py"
    path.parent.mkdir()
    path.write_text(BASE.format(include=INCLUDE))
    return path


def load(path):
    from sos_mm.synthesis import load_recipe

    return load_recipe(path)


def test_factors_by_hand():
    rules = Rules(strength=1, prior=0)
    tallies = {"a": Tally(10, 9), "b": Tally(10, 3), "c": Tally(20, 2, 4), "d": Tally()}
    # Rates .9, .3 and .3, of which the mean is .5.
    assert rules.factors(tallies) == pytest.approx({"a": 1.8, "b": 0.6, "c": 0.6, "d": 1.0})
    assert Rules(strength=2, prior=0, limit=3).factors(tallies) == pytest.approx(
        {"a": 3, "b": 0.36, "c": 0.36, "d": 1.0}
    )
    assert set(Rules(strength=0).factors(tallies).values()) == {1.0}
    # A prior of objects that fail at the mean rate of .45: rates (9 + 4.5) / 20, (3 + 4.5) / 20 and (6 + 4.5) / 30.
    expected = [0.675, 0.375, 0.35]
    found = Rules(strength=1, prior=10).factors(tallies)
    assert [found[name] for name in "abc"] == pytest.approx([rate / (sum(expected) / 3) for rate in expected])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=6))
def test_factors_follow_the_rates(numbers):
    tallies = {
        str(place): Tally(found + missed + confused, missed, confused)
        for place, (found, missed, confused) in enumerate(numbers)
    }
    rules = Rules(prior=0)
    factors = rules.factors(tallies)
    assert all(1 / rules.limit <= factor <= rules.limit for factor in factors.values())
    seen = [name for name in tallies if tallies[name].objects]
    in_turn = sorted(seen, key=lambda name: tallies[name].rate)
    assert [factors[name] for name in in_turn] == pytest.approx(sorted(factors[name] for name in seen))


def test_changes_by_hand(base):
    recipe = load(base)
    found = failures(
        {
            "apple": Tally(20, 8),
            "dog": Tally(20, 2),
            "car": Tally(20, 4, 1),
            "zebra": Tally(5, 5),
            "sports ball": FOUND,
        },
        sizes={"large": Tally(40, 4), "medium": Tally(20, 8), "small": Tally(20, 16)},
        crowding=(3.0, 6.0),
        visible=(0.9, 0.7),
        pairs={("dog", "sports ball"): 4, ("apple", "zebra"): 3, ("apple", "car"): 1},
        confused=5,
    )
    changes = next_changes(recipe, recipe.build_bank(), found, Rules(strength=1, prior=0, limit=100))
    # Rates .4, .1, .25 and 0 of the categories that the segments have.
    expected = {"apple": 0.4, "dog": 0.1, "car": 0.25}
    mean = sum(expected.values()) / 4
    weights = {name: rate / mean for name, rate in expected.items()} | {"sports_ball": 0.01}
    assert changes.category_weights == pytest.approx(weights, abs=1e-4)
    assert changes.unused == ("zebra",)
    # Five of 24 failures are confusions.
    assert changes.category_pairs == {"share": 0.208, "pairs": [["dog", "sports_ball", 4], ["apple", "car", 1]]}
    # Rates .1, .4 and .8 of the sizes; small objects, which the recipe lacks, begin with a share of .1.
    shares = [0.5 * 0.1, 0.5 * 0.4, 0.1 * 0.8]
    assert changes.layout["shares"] == pytest.approx(
        dict(zip(SIZES, [share / sum(shares) for share in shares], strict=True)), abs=1e-3
    )
    assert sum(changes.layout["shares"].values()) == pytest.approx(1, abs=1e-9)
    # Twice as crowded, but at most 1.5 times in a round.
    assert changes.layout["counts"] == (3, 9)
    assert changes.layout["min_mean_visible"] == pytest.approx(0.8 - 0.2)


def test_nothing_failed_changes_nothing(base):
    recipe = load(base)
    changes = next_changes(recipe, recipe.build_bank(), failures({"apple": FOUND, "dog": FOUND}))
    assert (dict(changes.layout), changes.category_pairs) == ({}, None)
    assert set(changes.category_weights.values()) == {1.0}


def test_written_recipe_is_the_changed_one_and_rounds_add_up(base):
    recipe = load(base)
    first = failures({"apple": Tally(20, 8), "dog": Tally(20, 2)}, pairs={("apple", "dog"): 2}, confused=5)
    rules = Rules(strength=1, prior=0)
    changes = next_changes(recipe, recipe.build_bank(), first, rules)
    out = base.parent.parent / "next" / "round_2.py"
    write_next_recipe(out, base, recipe, changes, first, "a detector")
    second = load(out)
    assert second.to_dict() == changed_recipe(recipe, changes).to_dict()
    assert second.segments["category_weights"] == {"apple": 1.6, "dog": 0.4}
    assert '"apple": 1.6,  # 8 of 20 failed (8 missed, 0 confused)' in out.read_text()
    # The same failures again, now without confusions.
    again = failures({"apple": Tally(20, 8), "dog": Tally(20, 2)})
    third_changes = next_changes(second, second.build_bank(), again, rules)
    write_next_recipe(out.with_name("round_3.py"), out, second, third_changes, again, "a detector")
    third = load(out.with_name("round_3.py"))
    assert third.to_dict() == changed_recipe(second, third_changes).to_dict()
    assert third.segments["category_weights"] == pytest.approx({"apple": 1.6**2, "dog": 0.4**2})
    assert third.segments["category_pairs"] is None
    assert third.build_bank().category_pairs is None
    with pytest.raises(ValueError, match="must be another file than the recipe"):
        write_next_recipe(out, out, second, changes, first, "a detector")


def test_weights_by_repeat_factors_are_multiplied(base, tmp_path):
    entries = [{"id": id, "name": name, "image_count": count} for id, name, count in ((1, "apple", 100), (2, "dog", 1))]
    (tmp_path / "lvis.json").write_text(json.dumps({"images": [{}] * 100, "categories": entries}))
    weights = {"annotations": str(tmp_path / "lvis.json"), "threshold": 0.25}
    content = load(base).to_dict()
    recipe = Recipe.from_dict(
        content | {"sampling": "weighted", "segments": content["segments"] | {"category_weights": weights}}
    )
    found = failures({"apple": Tally(10, 5), "dog": Tally(10, 5)})
    assert next_changes(recipe, recipe.build_bank(), found).category_weights == {"apple": 1.0, "dog": 5.0}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sampling": "uniform"}, "`sampling` is 'category' or 'weighted'.*got 'uniform'"),
        ({"sampling": "single_category"}, "got 'single_category'"),
        (
            {
                "sampling": "weighted",
                "segments": {"type": "mix", "banks": [{"type": "sample", "category_weights": {"dog": 2}}]},
            },
            "of single banks of a mix cannot be steered",
        ),
    ],
)
def test_recipes_that_cannot_be_steered(base, change, match):
    recipe = Recipe.from_dict(load(base).to_dict() | change)
    with pytest.raises(ValueError, match=match):
        next_changes(recipe, recipe.build_bank(), failures({"dog": Tally(4, 2)}))


def test_labels_of_other_categories(base):
    recipe = load(base)
    with pytest.raises(ValueError, match="must have categories of the recipe's segments, such as 'apple'"):
        next_changes(recipe, recipe.build_bank(), failures({"zebra": Tally(4, 2)}))


def test_command(base, tmp_path, capsys):
    """From composed labels and the results of a detector that finds all apples alone, to the next images."""
    synthesize(load(base), tmp_path / "labelled", 12, progress=False)
    labels = tmp_path / "labelled/annotations/instances.json"
    content = json.loads(labels.read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    apple = next(id for id, name in names.items() if name == "apple")
    results = [
        detection(each["image_id"], apple, each["bbox"], 0.9)
        for each in content["annotations"]
        if each["category_id"] == apple
    ]
    path, out, report = tmp_path / "val.bbox.json", tmp_path / "round_2.py", tmp_path / "failures.json"
    path.write_text(json.dumps(results))
    command = ["steer", str(base), str(path), "--labels", str(labels), "--out", str(out), "--report", str(report)]
    assert main(command) is None
    told = capsys.readouterr().out
    assert "visible shares are those of objects.jsonl" in told
    assert told.splitlines()[-1] == str(out)
    figures = json.loads(report.read_text())
    assert figures["by_category"]["apple"] == {"objects": len(results), "missed": 0, "confused": 0}
    assert figures["total"]["missed"] == len(content["annotations"]) - len(results)
    steered = load(out)
    weights = steered.segments["category_weights"]
    assert weights["apple"] == min(weights.values()) < 1 < weights["dog"]
    first = synthesize(steered, tmp_path / "round_2", 4, progress=False)
    again = synthesize(steered, tmp_path / "again", 4, progress=False)
    assert first.objects == again.objects
    checksums = [(tmp_path / name / "checksums.sha256").read_bytes() for name in ("round_2", "again")]
    assert checksums[0] == checksums[1]
    with pytest.raises(SystemExit) as ended:
        main([*command[:2], str(tmp_path / "none.json"), *command[3:]])
    assert ended.value.code == 2
    for option, read in (("--report", path), ("--report", labels), ("--report", out), ("--out", path)):
        before = read.read_bytes()
        with pytest.raises(SystemExit, match=f"`{option}` must be another file than those that are read"):
            main([*command, option, str(read)])
        assert read.read_bytes() == before
