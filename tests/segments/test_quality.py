"""What is measured on segments, the filters over it, vocabularies, weights and mixes of banks."""

import json
import pickle
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.segments import Filters, MixedBank, SegmentBank, build_bank
from sos_mm.segments.quality import drop_duplicates, measure
from sos_mm.segments.vocabulary import category_ids, read_vocabulary, repeat_factors
from sos_mm.synthesis.writers.format import Categories
from tests.conftest import make_rgba, write_rgba


def opaque(height=40, width=60, box=(10, 10, 20, 20)):
    """An image with an opaque box (x, y, w, h)."""
    rgba = np.full((height, width, 4), 90, np.uint8)
    x, y, w, h = box
    rgba[..., 3] = 0
    rgba[y : y + h, x : x + w, 3] = 255
    return rgba


def test_measures():
    rgba = opaque()
    rgba[15:20, 15:20, 3] = 0
    rgba[29, 10:30, 3] = 128
    found = measure(rgba)
    assert (found.height, found.width, found.box_x, found.box_y) == (40, 60, 10, 10)
    assert (found.box_width, found.box_height) == (20, 20)
    assert (found.area, found.touching) == (375, False)
    assert found.holes == pytest.approx(25 / 400)
    assert found.soft == pytest.approx(20 / 375)
    assert measure(opaque(box=(40, 10, 20, 5))).touching


def test_hashes_are_near_for_near_images(rng):
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    rgba = np.dstack([cv2.resize(coarse, (200, 160)), make_rgba(rng, 160, 200)[..., 3]])
    smaller = cv2.resize(rgba, (100, 80), interpolation=cv2.INTER_AREA)
    other = np.dstack([cv2.resize(coarse[::-1, ::-1].copy(), (200, 160)), rgba[..., 3]])
    first, second, third = (measure(each).hash for each in (rgba, smaller, other))
    assert (first ^ second).bit_count() <= 4
    assert (first ^ third).bit_count() > 10


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=8), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 63))))
def test_duplicates_are_those_of_brute_force(seeds, flips):
    hashes = list(seeds)
    for place, bit in flips:
        if seeds:
            hashes.append(hashes[place % len(hashes)] ^ (1 << bit))
    expected = []
    for value in hashes:
        expected.append(all((value ^ other).bit_count() > 2 for other, k in zip(hashes, expected, strict=False) if k))
    kept = np.ones(len(hashes), bool)
    drop_duplicates(kept, np.array(hashes, np.uint64), [0], 2)
    assert kept.tolist() == expected
    apart = np.ones(2, bool)
    drop_duplicates(apart, np.array([7, 7], np.uint64), [0, 1], 2)
    assert apart.all()


@pytest.fixture
def config(tmp_path):
    """Boxes of different kinds in a folder of categories."""
    images = {
        "dog/plain": opaque(),
        "dog/same": opaque(),
        "dog/wide": opaque(box=(5, 5, 50, 10)),
        "dog/touching": opaque(box=(0, 5, 10, 10)),
        "cell phone/small": opaque(box=(30, 20, 4, 4)),
        "cell phone/ring": opaque(),
    }
    images["cell phone/ring"][12:28, 12:28, 3] = 0
    for name, rgba in images.items():
        write_rgba(tmp_path / "boxes" / f"{name}.png", rgba)
    return {"type": "folder", "root": str(tmp_path / "boxes")}


@pytest.mark.parametrize(
    ("filters", "gone"),
    [
        ({}, set()),
        ({"area": (17, 450)}, {"dog/wide", "cell phone/small"}),
        ({"aspect": (0.5, 2)}, {"dog/wide"}),
        ({"touching": False}, {"dog/touching"}),
        ({"holes": 0.1}, {"cell phone/ring"}),
        ({"soft": 0.0}, set()),
        ({"duplicates": 0}, {"dog/same", "dog/wide", "dog/touching"}),
    ],
)
def test_filters(config, filters, gone):
    every = {record.source_id for record in build_bank(config).records}
    left = {record.source_id for record in build_bank({**config, "filters": filters}).records}
    assert every - left == gone


@pytest.mark.parametrize(
    ("filters", "match"),
    [
        ({"aera": (1, 2)}, "Did you mean 'area'"),
        ({"annotated": ["Integrty"]}, "Did you mean 'Integrity'"),
        ({"area": (5, 1)}, "`filters.area` must be"),
        ({"holes": 2}, "`filters.holes` must be in"),
        ({"duplicates": 64}, "`filters.duplicates` must be an integer in"),
        ({"area": (10**6, 10**7)}, "none of 6 passes"),
    ],
)
def test_filters_refuse(config, filters, match):
    with pytest.raises(ValueError, match=match):
        build_bank({**config, "filters": filters})


def test_vocabularies(config, tmp_path):
    assert build_bank({**config, "vocabulary": "coco"}).category_ids("coco") == {"cell phone": 77, "dog": 18}
    bank = build_bank({**config, "vocabulary": ["Cell_Phone"]})
    assert bank.categories == ("cell phone",)
    with pytest.raises(ValueError, match=r"names 'cel phone', .* The nearest to 'cel phone' is 'cell phone'"):
        build_bank({**config, "vocabulary": ["dog", "cel phone"]})
    with pytest.raises(ValueError, match="must name categories of the bank, which has 'cell phone', 'dog'"):
        build_bank({**config, "vocabulary": []})
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps({"categories": [{"id": 3, "name": "dog"}, {"id": 9, "name": "cat"}]}))
    dogs = build_bank({**config, "vocabulary": str(path)})
    assert dogs.category_ids(str(path)) == {"dog": 3}
    with pytest.raises(ValueError, match=r"holds 'cell phone', but the vocabulary has no such"):
        category_ids(("cell phone", "dog"), str(path))
    assert category_ids(["b", "a_c", "a c"]) == {"b": 2, "a_c": 1, "a c": 1}


@pytest.mark.parametrize(
    ("name", "nearest"), [("ccoo", "coco"), ("COCO", "coco"), ("lviss", "lvis"), ("Object365", "objects365")]
)
def test_mistyped_vocabularies_are_told_the_nearest(config, name, nearest):
    """Wherever a name or a file is taken."""
    takers = [read_vocabulary, build_bank(config).category_ids, lambda name: Categories.of(["dog"], name)]
    for take in [*takers, lambda name: build_bank({**config, "vocabulary": name})]:
        with pytest.raises(FileNotFoundError, match=rf"'coco', .* nor a file '{name}'\. Did you mean '{nearest}'\?"):
            take(name)


def test_vocabulary_files_are_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither a vocabulary nor a file '.*none\.json'\.$"):
        read_vocabulary(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json must be a JSON object with a list 'categories'"):
        read_vocabulary(tmp_path / "x.json")
    with pytest.raises(ValueError, match="each category and id once"):
        read_vocabulary(["a b", "a_b"])


def test_coco_and_lvis_names():
    coco = read_vocabulary("coco")
    assert (len(coco), coco["person"], coco["stop sign"], coco["toothbrush"]) == (80, 1, 13, 90)
    assert not set(coco.values()) & {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    if not find_spec("mmdet"):
        pytest.skip("mmdet is not installed")
    lvis = read_vocabulary("lvis")
    assert (len(lvis), lvis["aerosol_can"], lvis["zucchini"]) == (1203, 1, 1203)


def test_lvis_names_without_mmdet(monkeypatch):
    monkeypatch.setattr("sos_mm.segments.vocabulary.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="give the path of an annotation file"):
        read_vocabulary("lvis")


def test_repeat_factors(config, tmp_path):
    counts = {"dog": 100, "cell_phone": 1}
    assert repeat_factors(counts, 0.25, 100) == {"dog": 1.0, "cell_phone": 5.0}
    entries = [{"id": i, "name": name, "image_count": count} for i, (name, count) in enumerate(counts.items(), 1)]
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps({"images": [{}] * 100, "categories": entries}))
    bank = build_bank({**config, "category_weights": {"annotations": str(path), "threshold": 0.25}})
    share = np.bincount(bank.sample(np.random.default_rng(0), 20_000, "weighted"), minlength=6) / 20_000
    np.testing.assert_allclose(share, [5 / 12] * 2 + [1 / 24] * 4, atol=0.015)
    assert pickle.loads(pickle.dumps(bank)).category_weights == bank.category_weights
    with pytest.raises(ValueError, match="needs the bank's `category_weights`"):
        build_bank(config).sample(np.random.default_rng(0), 1, "weighted")
    with pytest.raises(ValueError, match="`category_weights` must be at least 0 and finite, but has -1 for 'dog'"):
        build_bank({**config, "category_weights": {"dog": -1}})


def test_one_category_with_all_its_kinds(bank):
    for seed in range(20):
        drawn = bank.sample(np.random.default_rng(seed), 4, "single_category")
        records = [bank.records[index] for index in drawn]
        assert len({record.category for record in records}) == 1
        kinds = [record.sub_category for record in records]
        # Two kinds of apples, and the only kind of dogs; no segment twice before all were drawn.
        assert len(set(kinds[:2])) == (2 if records[0].category == "apple" else 1)
        assert len(set(drawn.tolist())) == (4 if records[0].category == "apple" else 2)


def test_weights_of_zero_are_never_drawn(bank):
    weighted = bank.weighted({"apple": 1, "dog": 0})
    drawn = weighted.sample(np.random.default_rng(0), 1000, "weighted")
    assert {weighted.records[index].category for index in drawn} == {"apple"}


def test_mixes(config, bank, release):
    root, metadata = map(str, release)
    parts = [config, {"type": "release", "root": root, "metadata": metadata}]
    mix = build_bank({"type": "mix", "banks": parts, "weights": [3, 1]})
    assert isinstance(mix, MixedBank)
    assert mix.categories == ("apple", "cell phone", "dog")
    assert len(mix) == 12
    assert mix.category_ids({"apple": 53, "dog": 18, "cell_phone": 77})["cell phone"] == 77
    drawn = mix.sample(np.random.default_rng(0), 20_000)
    np.testing.assert_array_equal(drawn, mix.sample(np.random.default_rng(0), 20_000))
    assert np.mean(drawn < 6) == pytest.approx(0.75, abs=0.015)
    assert mix.load(8).source_id == bank.load(2).source_id
    assert mix.origin(8) == (1, 2)
    for seed in range(10):
        one = mix.sample(np.random.default_rng(seed), 5, "single_category")
        assert len({mix.load(index).category for index in one}) == 1
    with pytest.raises(IndexError, match="but got 12"):
        mix.load(12)
    apples = mix.select(vocabulary=["apple"])
    assert (len(apples), len(apples.banks)) == (4, 1)
    with pytest.raises(ValueError, match="one for each bank"):
        MixedBank([bank], [1, 2])
    with pytest.raises(ValueError, match="nearest to 'appel' is 'apple'"):
        mix.select(vocabulary=["appel"])
    assert len(pickle.loads(pickle.dumps(mix))) == 12


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"type": "relaese"}, "Did you mean 'release'"),
        ({"type": "release", "rot": "x"}, "Did you mean 'root'"),
        ({"type": "release", "root": "x"}, "must have `metadata`"),
        ({"type": "coco", "images": "x"}, "must have `annotations`"),
        ({"type": "index"}, "must have `path`"),
        ({"type": "mix", "banks": []}, "must have `banks`"),
        ({"type": "mix", "banks": [{"type": "x"}]}, "but got 'x'"),
        ({"type": "folder", "root": ".", "faults": 1}, "but got 'faults'"),
        ({"type": "folder", "root": ".", "broken": "ignore"}, "but got 'ignore'"),
        ("sample", "described by a dict"),
    ],
)
def test_descriptions_are_checked(config, match):
    with pytest.raises(ValueError, match=match):
        build_bank(config)


def test_sample_by_description():
    bank = build_bank({"type": "sample", "group": "all", "vocabulary": "coco"})
    # Of the sample's 140 categories, COCO has 50.
    assert (len(bank.categories), len(SegmentBank.sample_bank("all").categories)) == (50, 140)
    assert set(bank.category_ids("coco").values()) <= set(range(1, 91))
    assert Filters().measured is False
