"""Captions of several expressions: spans, regions and lengths."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.formats.odvg import joined_record, parts_by_tokens, phrase_complaint, region_boxes, spans_complaint
from sos_mm.formats.phrases import clean_phrase

TEXT = st.text("ab .é猫İ", min_size=1, max_size=12).map(clean_phrase).filter(bool)
EXPRESSIONS = st.lists(st.tuples(TEXT, st.sets(st.integers(0, 5), max_size=4)), min_size=1, max_size=8)


def box(key: int) -> list[int]:
    return [key, key, key + 10, key + 20]


@given(EXPRESSIONS)
def test_each_object_has_the_spans_of_what_means_it(given_expressions):
    """By the definition: an object is a positive of each expression that means it, and of nothing else."""
    record = joined_record([(text, {key: box(key) for key in keys}) for text, keys in given_expressions])
    caption = record["caption"]
    starts, place = [], 0
    for text, _ in given_expressions:
        assert caption[place:].startswith(text)
        starts.append([place, place + len(text)])
        place += len(text) + 2
    found = {}
    for region in record["regions"]:
        assert spans_complaint(region["tokens_positive"], caption) is None
        assert phrase_complaint(region["phrase"], region["tokens_positive"], caption) is None
        for each in region_boxes(region):
            assert each[0] not in found
            found[each[0]] = region["tokens_positive"]
            assert each == box(each[0])
    meant = {key for _, keys in given_expressions for key in keys}
    expected = {
        key: [span for span, (_, keys) in zip(starts, given_expressions, strict=True) if key in keys] for key in meant
    }
    assert found == expected
    # mmdet makes captions lower case, which must move no span.
    assert len(caption.lower()) == len(caption)


@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.lists(st.integers(8, 30), min_size=40, max_size=40),
    st.integers(30, 40),
)
def test_captions_are_as_long_as_drawn(lengths, budgets, longest):
    """No caption is over its budget, none could take the next expression, and only what is too long is left out."""
    texts = ["x" * length for length in lengths]
    drawn = iter(budgets)
    parts = list(parts_by_tokens(texts, lambda text: len(text) - 1, lambda: next(drawn), longest))
    kept = [place for place, length in enumerate(lengths) if length + 2 <= longest]
    assert [place for part in parts for place in part] == kept
    for number, part in enumerate(parts):
        tokens = 2 + sum(lengths[place] for place in part)
        assert tokens <= budgets[number] or len(part) == 1
        if number + 1 < len(parts):
            assert tokens + lengths[parts[number + 1][0]] > budgets[number]


def test_nothing_meant_has_no_region():
    record = joined_record([("the red mug", {}), ("both cups", {0: [0, 0, 5, 5], 1: [9, 0, 15, 5]})])
    assert record["caption"] == "the red mug. both cups."
    region = {"bbox": [[0, 0, 5, 5], [9, 0, 15, 5]], "phrase": "both cups", "tokens_positive": [[13, 22]]}
    assert record["regions"] == [region]


def test_budgets_are_drawn_for_each_caption():
    numbers = count()
    list(parts_by_tokens(["a" * 9] * 12, len, lambda: 22 + 0 * next(numbers), 256))
    # Two of ten tokens fit beside the two special ones.
    assert next(numbers) == 6


@pytest.mark.parametrize("texts", [[], ["x" * 300]])
def test_nothing_to_write(texts):
    assert list(parts_by_tokens(texts, len, lambda: 200, 255)) == []
