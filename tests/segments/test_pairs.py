"""Pairs of categories in one image, and weights of categories for mixes of banks."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest

from sos_mm.segments import build_bank
from sos_mm.segments.factory import check_sampling

SAMPLE = {"type": "sample", "include": ["apple/red_apple", "dog/tan_dog", "car/blue_suv", "car/yellow_taxi"]}
PAIRS = {"pairs": [["apple", "dog", 3], ["dog", "car", 1]], "share": 0.4}


def drawn_categories(bank, number, images=4000):
    """The sorted categories of each image."""
    rng = np.random.default_rng(0)
    return [
        tuple(sorted(bank.record(index).category for index in bank.sample(rng, number, "weighted")))
        for _ in range(images)
    ]


def test_pairs_have_their_shares():
    bank = build_bank({**SAMPLE, "category_weights": {"apple": 0, "dog": 0}, "category_pairs": PAIRS})
    found = Counter(drawn_categories(bank, 2))
    # Only cars have a weight, so that all other categories come from pairs.
    assert set(found) == {("car", "car"), ("apple", "dog"), ("car", "dog")}
    assert found["apple", "dog"] / 4000 == pytest.approx(0.3, abs=0.03)
    assert found["car", "dog"] / 4000 == pytest.approx(0.1, abs=0.02)
    # One object is no pair; of three objects one stays.
    assert set(drawn_categories(bank, 1, 200)) == {("car",)}
    assert set(drawn_categories(bank, 3, 500)) == {
        ("car", "car", "car"),
        ("apple", "car", "dog"),
        ("car", "car", "dog"),
    }


def test_segments_of_a_pair_are_uniform_and_at_any_place():
    bank = build_bank({**SAMPLE, "category_pairs": {"pairs": [["car", "car", 1]], "share": 1}})
    rng = np.random.default_rng(0)
    draws = np.array([bank.sample(rng, 3, "weighted") for _ in range(3000)])
    cars = np.array([index for index in range(len(bank)) if bank.record(index).category == "car"])
    # Two of three are cars, and the third is one for a third.
    np.testing.assert_allclose(np.isin(draws, cars).mean(axis=0), 7 / 9, atol=0.03)
    np.testing.assert_allclose(np.bincount(draws.ravel(), minlength=4)[cars] / draws.size, 7 / 18, atol=0.02)


def test_no_pairs_draw_what_was_drawn_before():
    """The draws of weighted banks and mixes without pairs are those of earlier versions."""
    weights = {"apple": 3, "dog": 0.5}
    weighted = build_bank({**SAMPLE, "category_weights": weights})
    paired = build_bank({**SAMPLE, "category_weights": weights, "category_pairs": {**PAIRS, "share": 0}})
    first, second = (bank.sample(np.random.default_rng(7), 12, "weighted") for bank in (weighted, paired))
    np.testing.assert_array_equal(first, second)
    draws, within = np.random.default_rng(7).random((2, 12))
    category = np.searchsorted(np.cumsum([3, 1, 0.5]) / 4.5, draws, side="right")
    assert weighted.categories == ("apple", "car", "dog")
    starts, counts = np.array([0, 1, 3]), np.array([1, 2, 1])
    np.testing.assert_array_equal(first, starts[category] + (within * counts[category]).astype(int))
    # Other strategies draw no pairs.
    whole = build_bank({**SAMPLE, "category_pairs": {**PAIRS, "share": 1}})
    for strategy in ("category", "uniform", "single_category"):
        first, second = (bank.sample(np.random.default_rng(3), 5, strategy) for bank in (weighted, whole))
        np.testing.assert_array_equal(first, second)


def test_mixes_have_weights_and_pairs():
    banks = [
        {"type": "sample", "include": ["apple/red_apple", "car/blue_suv"]},
        {"type": "sample", "include": ["dog/tan_dog", "car/yellow_taxi"]},
    ]
    mix = {"type": "mix", "banks": banks, "weights": [3, 1]}
    weighted = build_bank({**mix, "category_weights": {"apple": 3, "dog": 0}})
    found = Counter(name for (name,) in drawn_categories(weighted, 1, 3000))
    shares = {name: number / 3000 for name, number in found.items()}
    assert shares == pytest.approx({"apple": 0.75 * 0.75, "car": 0.75 / 4 + 0.25}, abs=0.04)
    paired = build_bank({**mix, "category_weights": {"dog": 0}, "category_pairs": {"pairs": [["dog", "car", 1]]}})
    assert sum("dog" in names for names in drawn_categories(paired, 2, 2000)) / 2000 == pytest.approx(0.5, abs=0.05)
    cars = Counter(
        paired.record(paired.draw_of(rng, "car")).sub_category for rng in map(np.random.default_rng, range(1000))
    )
    assert cars["blue_suv"] / 1000 == pytest.approx(0.75, abs=0.06)
    part = paired.select(vocabulary=["apple", "car"])
    assert part.category_pairs is None
    assert {name for (name,) in drawn_categories(part, 1, 100)} == {"apple", "car"}


@pytest.mark.parametrize("mixed", [False, True])
def test_pairs_are_seen_and_kept(mixed):
    def built(**options):
        bank = {"type": "mix", "banks": [SAMPLE, SAMPLE]} if mixed else SAMPLE
        return build_bank({**bank, **options})

    pairs = [PAIRS, {**PAIRS, "share": 0.3}, {"pairs": PAIRS["pairs"][:1], "share": 0.4}]
    banks = [built(category_weights={}), *(built(category_pairs=each) for each in pairs)]
    assert len({bank.fingerprint for bank in banks}) == 4
    assert built(category_pairs=PAIRS).fingerprint == banks[1].fingerprint
    again = pickle.loads(pickle.dumps(banks[1]))
    np.testing.assert_array_equal(*(bank.sample(np.random.default_rng(5), 9, "weighted") for bank in (banks[1], again)))


@pytest.mark.parametrize(
    ("pairs", "match"),
    [
        (
            {"pairs": [["apple", "dgo", 1]]},
            "names 'dgo', but the bank has no such category. The nearest to 'dgo' is 'dog'",
        ),
        ({"pairs": []}, "must hold a pair with a weight over 0"),
        ({"pairs": [["apple", "dog", 0]]}, "must hold a pair with a weight over 0"),
        ({"pairs": [["apple", "dog", -1]]}, r"must be in \[0"),
        ({"pairs": [["apple", "dog"]]}, "must be two names and a weight, but got"),
        ({"pairs": [["apple", "dog", "1"]]}, "must be in"),
        ({"pairs": [["apple", "dog", 1]], "share": 1.5}, r"`category_pairs.share` must be in \[0, 1\]"),
        ({"pairs": [["apple", "dog", 1]], "shares": 1}, "Did you mean 'share'"),
        ([["apple", "dog", 1]], "must be a dict with a list `pairs`"),
    ],
)
def test_faulty_pairs(pairs, match):
    with pytest.raises(ValueError, match=match):
        build_bank({**SAMPLE, "category_pairs": pairs})


WEIGHTS = {"category_weights": {"apple": 2}}
MIX = {"type": "mix", "banks": [{**SAMPLE, **WEIGHTS}, {**SAMPLE, **WEIGHTS}]}


@pytest.mark.parametrize("bank", [{**SAMPLE, **WEIGHTS}, {**SAMPLE, "category_pairs": PAIRS}, MIX])
def test_weights_that_are_used(bank):
    check_sampling("weighted", bank)
    assert len(build_bank(bank).sample(np.random.default_rng(0), 3, "weighted")) == 3


@pytest.mark.parametrize("bank", [SAMPLE, {"type": "mix", "banks": [{**SAMPLE, **WEIGHTS}, SAMPLE]}])
def test_weights_that_are_missing(bank):
    with pytest.raises(ValueError, match="'weighted' needs `category_weights` or `category_pairs` of the bank"):
        check_sampling("weighted", bank)
    check_sampling("category", bank)


@pytest.mark.parametrize("key", ["category_weights", "category_pairs"])
@pytest.mark.parametrize("sampling", ["category", "uniform", "single_category"])
def test_weights_that_would_be_ignored(key, sampling):
    bank = {**SAMPLE, **WEIGHTS, "category_pairs": PAIRS}
    with pytest.raises(ValueError, match=f"must be 'weighted' where the bank has `{key}`, but is '{sampling}'"):
        check_sampling(sampling, {name: bank[name] for name in ("type", "include", key)})


def categories_file(path, *names):
    """An annotation file that counts the images of categories, as LVIS's does."""
    entries = [{"id": id, "name": name, "image_count": 1} for id, name in enumerate(names, 1)]
    path.write_text(json.dumps({"images": [{}] * 100, "categories": entries}))
    return {"annotations": str(path)}


@pytest.mark.parametrize("mixed", [False, True])
def test_weights_by_hand_of_what_the_bank_lacks_are_refused(mixed):
    """They would change nothing: a misspelt name has the weight of one that is not named."""
    bank = {"type": "mix", "banks": [SAMPLE, SAMPLE]} if mixed else SAMPLE
    said = r"`category_weights` names 'Dgo', but the bank has no such category\. The nearest to 'Dgo' is 'dog'\."
    with pytest.raises(ValueError, match=said):
        build_bank({**bank, "category_weights": {"apple": 2, "Dgo": 3}})
    with pytest.raises(ValueError, match="`category_weights` names 'aardvark', 'zebra', but the bank has no such"):
        build_bank({**bank, "category_weights": {"zebra": 2, "aardvark": 3}})


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({5: 1}, r"`names of category_weights` must be a list of names, .* but got \[5\]"),
        ({"annotations": 4}, "`annotations` of `category_weights` must be a file or counts by name, but got 4"),
        (
            {"annotations": {"dog": 1}, "thresold": 1},
            "`key of category_weights` must be one of .* Did you mean 'threshold'",
        ),
    ],
)
def test_weights_of_another_form_are_refused(weights, said):
    with pytest.raises(ValueError, match=said):
        build_bank({**SAMPLE, "category_weights": weights})


def test_weights_of_one_bank_of_a_mix_are_of_its_own_categories():
    banks = [
        {"type": "sample", "include": [each], "category_weights": {"dog": 1}}
        for each in ("dog/tan_dog", "apple/red_apple")
    ]
    with pytest.raises(ValueError, match="`category_weights` names 'dog', but the bank has no such category"):
        build_bank({"type": "mix", "banks": banks})
    whole = [{"type": "sample", "include": [each]} for each in ("dog/tan_dog", "apple/red_apple")]
    assert build_bank({"type": "mix", "banks": whole, "category_weights": {"dog": 2}}).categories == ("apple", "dog")


def test_weights_of_what_was_selected_away_are_taken():
    """One recipe with weights serves several selections."""
    bank = build_bank({**SAMPLE, "vocabulary": ["car"], "category_weights": {"Dog": 2, "car": 3}})
    assert bank.categories == ("car",)
    assert set(drawn_categories(bank, 1, 5)) == {("car",)}


def test_weights_of_a_data_set_may_name_what_the_bank_lacks(tmp_path):
    """Those of LVIS's repeat factors do: the file names 1203 categories, whatever the bank has."""
    weights = categories_file(tmp_path / "lvis.json", "dog", "zebra")
    assert "dog" in build_bank({**SAMPLE, "category_weights": weights}).categories
    with pytest.raises(
        ValueError, match="must share a category with the bank, but none of 'aardvark', 'zebra' is in it"
    ):
        build_bank({**SAMPLE, "category_weights": categories_file(tmp_path / "other.json", "zebra", "aardvark")})
