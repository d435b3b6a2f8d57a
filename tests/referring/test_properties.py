"""What must hold for any image: mirrored, in another order, with more objects where more may be."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.facts import Facts
from sos_mm.referring.language import language
from sos_mm.referring.meaning import evaluate, judge
from sos_mm.referring.phrasing import write
from sos_mm.referring.verify import parser_of, verify
from tests.referring.scenes import PAINT, drawn

SIZE = 200
CATEGORIES = ("dog", "cat", "cup", "car", "sheep")
MIRRORED = {"left": "right", "right": "left", "left of": "right of", "right of": "left of"}


@st.composite
def things(draw, least=1, most=9):
    found = []
    for _ in range(draw(st.integers(least, most))):
        x, y = draw(st.integers(0, SIZE - 20)), draw(st.integers(0, SIZE - 20))
        w, h = draw(st.integers(9, SIZE - x)), draw(st.integers(9, SIZE - y))
        w, h = min(w, 80), min(h, 80)
        color = draw(st.sampled_from(["", *PAINT]))
        words = draw(
            st.lists(st.sampled_from(["striped", "spotted", "open", "closed", "soft"]), max_size=2, unique=True)
        )
        found.append((draw(st.sampled_from(CATEGORIES)), (x, y, x + w, y + h), color, words))
    return found


def image_of(found, ignored=()) -> AnnotatedImage:
    # Later things hide earlier ones; their masks stay complete, which no fact depends on.
    return drawn(found, (SIZE, SIZE), ("object", *CATEGORIES, "bus", "bear"), ignored)


def mirrored(image: AnnotatedImage) -> AnnotatedImage:
    width = image.width

    def turned(each: Instance) -> Instance:
        x0, y0, x1, y1 = each.box
        mask = None if each.mask is None else each.mask[:, ::-1]
        return replace(each, box=(width - x1, y0, width - x0, y1), mask=mask, offset=(int(width - x1), int(y0)))

    instances, regions = (tuple(map(turned, each)) for each in (image.instances, image.ignored))
    return replace(image, instances=instances, ignored=regions, image=np.ascontiguousarray(image.image[:, ::-1]))


def mirrored_meaning(meaning):
    if isinstance(meaning, dict):
        return {key: mirrored_meaning(value) for key, value in meaning.items()}
    if isinstance(meaning, list):
        return [mirrored_meaning(each) for each in meaning]
    return MIRRORED.get(meaning, meaning) if isinstance(meaning, str) else meaning


@given(things(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_mirroring_the_image_mirrors_the_facts(found, seed):
    image = image_of(found)
    facts, other = Facts(image), Facts(mirrored(image))
    # Colours are measured on every n-th pixel, from the left: of few visible ones the mirror image may show others.
    assume(all(facts.colors_of(index) == other.colors_of(index) for index in range(len(image.instances))))
    for each in write(image, np.random.default_rng(seed)):
        meaning = mirrored_meaning(deepcopy(each.meaning))
        assert judge(meaning, other, each.targets)[0] == "true", each
        assert evaluate(meaning, other) == evaluate(each.meaning, facts)


@given(things(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_instances_changes_nothing(found, seed, random):
    image = image_of(found)
    order = list(range(len(found)))
    random.shuffle(order)
    other = replace(image, instances=tuple(image.instances[place] for place in order))
    for each in write(image, np.random.default_rng(seed)):
        targets = [order.index(target) for target in each.targets]
        assert verify(other, each.text, targets).status == "true", each


@given(things(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read_and_is_json(found, seed):
    image = image_of(found)
    for code in ("en", "de"):
        for each in write(image, np.random.default_rng(seed), code):
            assert json.loads(json.dumps(each.meaning)) == each.meaning
            assert each.meaning in parser_of(Facts(image), code).readings(each.text)
            assert verify(image, each.text, each.targets, code).status == "true", each
            assert 0 <= each.head[0] < each.head[1] <= len(each.text)
            assert each.text == each.text.strip()
            assert "  " not in each.text


@st.composite
def worlds(draw):
    """An image with ignored regions, and objects that may be in them."""
    found = draw(things(2, 6))
    regions, hidden = [], []
    for _ in range(draw(st.integers(1, 2))):
        x, y = draw(st.integers(0, SIZE - 60)), draw(st.integers(0, SIZE - 60))
        region = (x, y, x + draw(st.integers(30, 60)), y + draw(st.integers(30, 60)))
        category = draw(st.sampled_from(["", *CATEGORIES]))
        regions.append((category, tuple(map(float, region))))
        for _ in range(draw(st.integers(1, 3))):
            left, top = draw(st.integers(region[0], region[2] - 9)), draw(st.integers(region[1], region[3] - 9))
            box = (left, top, draw(st.integers(left + 5, region[2])), draw(st.integers(top + 5, region[3])))
            hidden.append((category or draw(st.sampled_from(CATEGORIES)), box, draw(st.sampled_from(["", *PAINT]))))
    return found, regions, hidden


@given(worlds(), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_objects_in_ignored_regions_never_make_a_sentence_false(world, seed):
    """Whatever is in the regions: no sentence that was proved without knowing it is refused once it is known."""
    found, regions, hidden = world
    image = image_of(found, regions)
    known = [
        Instance(1000 + index, category, tuple(map(float, box)), attributes=(color,) if color else ())
        for index, (category, box, color) in enumerate(hidden)
    ]
    full = Facts(replace(image, instances=(*image.instances, *known), ignored=()))
    for each in write(image, np.random.default_rng(seed)):
        status, reason = judge(each.meaning, full, each.targets)
        assert status == "true", (each, status, reason)


def test_every_word_of_a_language_is_read_as_what_it_says():
    """Each phrase of the files is in the lexicon under its tag, and nothing is empty."""
    for code in ("en", "de"):
        words = language(code)
        for phrase, entries in words.lexicon.items():
            assert phrase, code
            assert entries
            assert all(isinstance(tag, str) for tag, _ in entries)
