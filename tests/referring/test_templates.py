"""Templates of sentences: what is parsed once for many sentences is what each alone would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.referring.language import language, tokens
from sos_mm.referring.parse import parser
from sos_mm.referring.phrasing import write
from sos_mm.referring.templates import abstracted, slots_of
from tests.referring.scenes import composed

PHRASES = {name: [" ".join(phrase) for phrase in language(name).lexicon] for name in ("en", "de")}
FRAMES = {
    "en": ("the {} {} to the left of the {}", "all {} {} that are {}", "{} the {} {} and {}"),
    "de": ("die {} {} links von dem {}", "alle {} {}, die {} sind", "{} die {} {} und {}"),
}


def words_alone(text: str, name: str) -> tuple:
    """The readings of a sentence of which no word is left open."""
    return parser(name)._parse(tokens(text))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_templates_change_no_reading(data):
    name = data.draw(st.sampled_from(sorted(FRAMES)))
    text = data.draw(st.sampled_from(FRAMES[name]))
    for _ in range(text.count("{}")):
        text = text.replace("{}", data.draw(st.sampled_from(PHRASES[name])), 1)
    assert parser(name).readings(text) == words_alone(text, name)


def test_written_sentences_share_templates():
    found, templates = 0, set()
    slots = slots_of(language("en").lexicon)
    for index in range(6):
        for each in write(composed("several categories", index), np.random.default_rng(index)):
            found += 1
            templates.add(abstracted(tokens(each.text), {}, slots)[0])
            assert words_alone(each.text, "en") in ((), parser("en").readings(each.text))
    assert len(templates) < found


@pytest.mark.parametrize(
    ("text", "head", "attributes"),
    [
        ("the hot dog", "hot dog", []),
        ("the dog", "dog", []),
        ("the red red dog", "dog", [["color", "red"]]),
        ("the white, black dog", "dog", [["color", "black"], ["color", "white"]]),
        ("the orange", "orange", []),
    ],
)
def test_values_are_filled_in(text, head, attributes):
    readings = parser("en").readings(text)
    assert [each["head"] for each in readings] == [head]
    assert readings[0].get("attributes", []) == attributes


def test_the_same_noun_twice_is_the_same():
    assert parser("en").readings("the dog to the left of the dog") == words_alone(
        "the dog to the left of the dog", "en"
    )
    one, other = (abstracted(tokens(f"the dog above the {noun}"), {}, slots_of(language("en").lexicon))[0] for noun in
                  ("dog", "zebra"))  # fmt: skip
    assert one != other


def test_words_of_the_annotations_are_understood_beside_those_of_the_language():
    spoken = parser("en", frozenset(["sausage dog", "gizmo"]), frozenset(["fluffy", "left"]))
    heads = {text: [each["head"] for each in spoken.readings(text)] for text in
             ("the sausage dog", "the dog", "the gizmo", "the fluffy gizmo on the left")}  # fmt: skip
    assert heads == {
        "the sausage dog": ["sausage dog"], "the dog": ["dog"], "the gizmo": ["gizmo"],
        "the fluffy gizmo on the left": ["gizmo"],
    }  # fmt: skip
    assert spoken.readings("the fluffy gizmo")[0]["attributes"] == [["word", "fluffy"]]
    assert parser("en").readings("the fluffy gizmo") == ()


def test_a_reading_may_be_changed():
    readings = parser("en").readings("the red dog on the left of the cup")
    readings[0]["attributes"].append("changed")
    readings[0]["relations"][0]["to"][0]["head"] = "changed"
    again = parser("en").readings("the red dog on the left of the cup")
    assert "changed" not in repr(again)
