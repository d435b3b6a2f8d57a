"""Words that operations endanger: the table is complete, words are found, false ones are dropped, true ones stay."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.composition import Layout, Placement, build_steps, compose
from sos_mm.composition.effects import relighting
from sos_mm.composition.effects import step as steps
from sos_mm.composition.true_words import OPERATIONS, SLIGHT_TURN, carry_out, endangered_kinds
from sos_mm.segments import Segment
from sos_mm.segments.colors import COLOR_NAMES, color_names
from sos_mm.segments.truth import claims, measure, still_true
from sos_mm.segments.words import ENDANGERED, IMAGE_OPERATIONS, KINDS, PIXELS, Words, drop, endangered, find, kinds_in
from tests.conftest import make_rgba
from tests.segments.test_colors import NAMES


def ours(registered: dict) -> set[str]:
    """Names of what the package itself registers; tests register more."""
    return {name for name, cls in registered.items() if cls.__module__.startswith("sos_mm.")}


def test_the_table_is_complete():
    """Everything that changes pixels has a row, so that a new step cannot be forgotten, and nothing else has one."""
    rows = {*IMAGE_OPERATIONS, *OPERATIONS.values(), "see_through"}
    assert set(ENDANGERED) == rows | ours(steps._STEPS) | ours(relighting._RELIGHTERS)
    assert {kind for kinds in ENDANGERED.values() for kind in kinds} == set(KINDS)
    # Whatever paints an object anew can change its colours.
    for name in ours(steps._STEPS) - {"Relight", "AreaWeightedBlend"}:
        assert ENDANGERED[name] >= {"color", "lightness"}
    # The other fields of a placement say where, how large and in which order: no word is about those.
    assert set(OPERATIONS) == {each.name for each in fields(Placement)} - {"segment", "box", "depth", "limited"}


def test_unknown_steps_endanger_all_that_pixels_can():
    class Paint(steps.Step):
        pass

    class Unknown:
        def relight(self, image, alpha, light, rng):
            return image

    assert endangered("Paint") == PIXELS == endangered_kinds([Paint()])
    assert endangered_kinds([]) == set()
    assert endangered_kinds(build_steps(["default"])) == {"color", "lightness", "focus"}
    blend = {"type": "AreaWeightedBlend", "relighter": {"type": "GradientRelighter"}}
    assert endangered_kinds(build_steps([blend])) == {"color", "lightness"}
    assert endangered_kinds(build_steps([{**blend, "relighter": Unknown()}])) == PIXELS


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("an arrow pointing left", {"side"}),
        ("the right-hand glove", {"side"}),
        ("left_shoe", {"side"}),
        ("a dial that turns counter-clockwise", {"side"}),
        ("an S-shaped hook", {"side"}),
        ("a heart-shaped box", set()),
        ("a copyright for a wright on a cleft", set()),
        ("a panel with the word stop", {"text"}),
        ('a shirt that says "OK"', {"text"}),
        ("a shirt with \u201cno\u201d on it", {"text"}),
        ("a NASA mug", {"text"}),
        ("stop_sign", {"text"}),
        ("a jersey with a 7", {"text"}),
        ("an old TV with an SUV on it", set()),
        ("the dog's bone", set()),
        ("an upright vase", {"posture"}),
        ("a ladder leaning on a wall", {"posture"}),
        ("an upside-down cup", {"posture"}),
        ("a fish seen from above", {"position"}),
        ("a crimson coat", {"color"}),
        ("a peach-colored scarf", {"color"}),
        ("a bored, tangled greenhorn", set()),
        ("a dark coat", {"lightness"}),
        ("a light blue coat", {"lightness", "color"}),
        ("a light bulb for a traffic light", set()),
        ("a blurred face", {"focus"}),
        ("the second cup from the middle", {"position"}),
        ("a dog", set()),
    ],
)
def test_kinds_of_words(text, kinds):
    assert kinds_in((text,)) == kinds


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a red apple", "an apple"),
        ("a dark red car", "a car"),
        ("a small red car with blue windows", "a small car with blue windows"),
        ("a cat with red eyes", "a cat with eyes"),
        ("A red apple on its own.", "An apple on its own."),
        ("Red apples on a red plate.", "Apples on a plate."),
        ("a red unicorn", "a unicorn"),
        ("a red-combed rooster", "a rooster"),
        ("a red colored car", "a car"),
        ("a red and white cup", "a white cup"),
        ("a white and red cup", "a white cup"),
        ("red_apple", "apple"),
        ("dark_red_apple", "apple"),
        ("a crimson apple", "an apple"),
        ("an apple", "an apple"),
        ("a blue apple", "a blue apple"),
        # Where it is no plain adjective, nothing can be said.
        ("the apple is red", ""),
        ("an apple, red and round", ""),
        ("a red, round apple", ""),
        ("a round, red apple", ""),
        ("a red orange ball", ""),
        ("a coat of deep red", ""),
        ("a red one", ""),
        ("apple_red", ""),
        ("red", ""),
        ("a red panda", ""),
        ("", ""),
    ],
)
def test_false_colors_are_dropped(text, left):
    assert drop(text, "color", frozenset({"red", "crimson"})) == left


def test_other_false_words_are_dropped():
    assert drop("a dark red car", "lightness", frozenset({"dark"})) == "a red car"
    assert drop("a pale orange cup", "lightness", frozenset({"pale"})) == "an orange cup"
    assert drop("a blurred face", "focus", frozenset({"blurred"})) == "a face"
    assert drop("a face in sharp focus", "focus", frozenset(find("a face in sharp focus", "focus"))) == ""
    assert drop('a panel that says "GO"', "text", frozenset(find('a panel that says "GO"', "text"))) == ""


TOKENS = ["a", "an", "the", "red", "dark", "blue", "and", ",", "with", "car", "eyes", "of_red", "red_car", "Red.", "is"]


@given(st.lists(st.sampled_from(TOKENS), max_size=9))
def test_dropped_words_are_gone_and_texts_only_shrink(tokens):
    text = " ".join(tokens)
    left = drop(text, "color", frozenset({"red"}))
    assert "red" not in find(left, "color")
    assert len(left.split()) <= len(text.split())
    assert set(left.lower().split()) <= {*text.lower().replace("_", " ").split(), *text.lower().split(), "a", "an"}
    if "red" not in find(text, "color"):
        assert left == text


def item(color, **words) -> Segment:
    rgba = make_rgba(np.random.default_rng(0), 40, 30)
    rgba[..., :3] = color
    return Segment(rgba, **{"category": "cup", **words})


@pytest.mark.parametrize(
    ("words", "flipped", "rotation"),
    [
        ({"phrase": "a cup"}, True, 40.0),
        ({"phrase": "a cup with its handle on the left"}, False, 0.0),
        ({"category": "left_shoe"}, False, 0.0),
        ({"sub_category": "stop_sign"}, False, 0.0),
        ({"description": "A cup with a logo."}, False, 0.0),
        ({"attributes": ("round", "upright")}, True, 0.0),
    ],
)
def test_geometry_that_endangers_a_word_is_left_out(words, flipped, rotation):
    segment = item((200, 20, 20), **words)
    planned = Placement(0, (5, 5, 65, 75), flipped=True, rotation=40.0)
    done, shown = carry_out(planned, segment)
    assert shown is segment
    assert (done.flipped, done.rotation, done.box) == (flipped, rotation, planned.box)
    scene = compose(np.zeros((80, 70, 3), np.uint8), Layout((80, 70), (planned,)), [segment])
    assert scene.objects[0].placement == done
    expected = compose(np.zeros((80, 70, 3), np.uint8), Layout((80, 70), (done,)), [item((200, 20, 20))])
    np.testing.assert_array_equal(scene.image, expected.image)


def test_slight_turns_are_carried_out():
    segment = item((200, 20, 20), phrase="an upright cup")
    for degrees, kept in (
        (SLIGHT_TURN, True),
        (-SLIGHT_TURN, True),
        (360 - SLIGHT_TURN, True),
        (5.1, False),
        (180, False),
    ):
        done, _ = carry_out(Placement(0, (0, 0, 9, 9), rotation=degrees), segment)
        assert done.rotation == (degrees if kept else 0)


def test_a_placement_says_which_hue_was_turned():
    turned = Placement(0, (0, 0, 40, 40), hue=120.0)
    done, shown = carry_out(turned, item((220, 20, 20), phrase="a red cup"))
    assert (done.hue, shown.phrase) == (120, "a green cup")
    done, shown = carry_out(turned, item((220, 20, 20), phrase="a cup"))
    assert (done.hue, shown.phrase) == (0, "a cup")


def change(before, after, shares=(1.0,)):
    """Pixels of some colours, of which each share becomes the color at its place."""
    counts = [round(200 * share) for share in shares]
    one, other = (np.repeat(np.array(each, np.uint8), counts, axis=0) for each in (before, after))
    return measure(one, other)


WORDS = Words("cup", "red_cup", "a dark red cup", "A red cup.", ("red", "round"))
LOST = Words("cup", "cup", "a cup", "A cup.", ("round",))
RED, BLUE, WHITE = NAMES["red"], NAMES["blue"], NAMES["white"]


@pytest.mark.parametrize(("share", "expected"), [(0.0, WORDS), (0.45, WORDS), (0.5, WORDS), (0.55, LOST), (1.0, LOST)])
def test_a_color_holds_while_half_of_its_pixels_do(share, expected):
    changed = change([RED, RED, WHITE], [BLUE, RED, BLUE], (0.5 * share, 0.5 * (1 - share), 0.5))
    assert still_true(WORDS, changed, frozenset({"color"})) == expected
    assert still_true(WORDS, changed, frozenset({"focus"})) == WORDS


@pytest.mark.parametrize("name", NAMES)
def test_all_names_are_measured(name):
    words = Words("cup", "", f"a {name} cup", "", ())
    for other in NAMES:
        left = still_true(words, change([NAMES[name]], [NAMES[other]]), PIXELS)
        assert left.phrase == (words.phrase if other == name else "a cup")


def test_names_are_those_of_color_names(rng):
    colors = rng.integers(0, 256, (5000, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.array(COLOR_NAMES)[measure(colors, colors).names], color_names(colors))


def test_small_moves_falsify_nothing():
    """Across a border of names, but by less than 10 in CIELAB: 14 degrees of hue end red."""
    before, after = (220, 70, 20), (220, 52, 20)
    assert color_names(np.array([before, after], np.uint8)).tolist() == ["orange", "red"]
    words = Words("cup", "", "an orange cup", "", ())
    assert still_true(words, change([before], [after]), PIXELS) == words


def test_colors_that_were_not_found_are_judged_by_all_pixels():
    words = Words("cat", "", "a black cat with blond whiskers", "", ("red-eyed",))
    assert still_true(words, change([NAMES["black"]], [NAMES["black"]]), PIXELS) == words
    left = still_true(words, change([NAMES["black"]], [BLUE]), PIXELS)
    assert (left.phrase, left.attributes) == ("a cat with whiskers", ())


def test_words_of_the_category_are_not_judged():
    words = Words("orange", "blood_orange", "a ripe orange", "", ("orange",))
    assert claims(words) == {}
    assert still_true(words, change([NAMES["orange"]], [BLUE]), PIXELS) == words


@pytest.mark.parametrize(
    ("word", "after", "holds"),
    [
        ("dark", 80, True),
        ("dark", 100, False),
        ("dark", 10, True),
        ("bright", 30, False),
        ("bright", 50, True),
        ("bright", 200, True),
    ],
)
def test_lightness_may_move_by_twelve_against_a_word(word, after, holds):
    """Greys: CIELAB's lightness of 60 is 25.3, of 80 is 33.9, of 100 is 42.4, of 30 is 11.3, of 50 is 20.8."""
    words = Words("cup", "", f"a {word} cup", "", (word,))
    left = still_true(words, change([(60, 60, 60)], [(after,) * 3]), PIXELS)
    assert left == (words if holds else Words("cup", "", "a cup", "", ()))


def test_pale_and_vivid_are_about_chroma():
    pale, vivid = (Words("cup", "", f"a {word} cup", "", ()) for word in ("pale", "vivid"))
    rosy, red = (250, 200, 200), (250, 120, 120)
    assert still_true(pale, change([rosy], [red]), PIXELS).phrase == "a cup"
    assert still_true(vivid, change([red], [rosy]), PIXELS).phrase == "a cup"
    assert still_true(vivid, change([rosy], [red]), PIXELS) == vivid


def test_text_and_focus_hold_where_nothing_moves():
    words = Words("panel", "", 'a panel that says "GO"', "", ("in sharp focus", "flat"))
    still, little = change([WHITE], [WHITE]), change([WHITE, WHITE], [WHITE, RED], (0.96, 0.04))
    for unmoved in (still, little):
        assert still_true(words, unmoved, PIXELS) == words
    much = change([WHITE, WHITE], [WHITE, RED], (0.9, 0.1))
    assert still_true(words, much, PIXELS) == Words("panel", "", "", "", ("flat",))
    assert still_true(words, much, frozenset({"color"})) == words


def test_what_shines_through_an_object_falsifies_its_color():
    """Without any step, in either order of colours; and nothing shines through where there is no background."""
    segment = item(WHITE, phrase="a white veil", category="veil")
    veil = Segment(
        np.where(segment.rgba[..., 3:] > 0, (*WHITE, 130), 0).astype(np.uint8), "veil", phrase="a white veil"
    )
    layout = Layout((80, 80), (Placement(0, (10, 10, 70, 70)),))
    red = np.full((80, 80, 3), RED, np.uint8)
    assert compose(red, layout, [veil]).objects[0].phrase == "a veil"
    turned = np.ascontiguousarray(red[..., ::-1])
    assert compose(turned, layout, [veil], channel_order="bgr").objects[0].phrase == "a veil"
    assert compose(red, layout, [segment]).objects[0].phrase == "a white veil"
    assert compose(np.full_like(red, 255), layout, [veil]).objects[0].phrase == "a white veil"
    assert compose(None, layout, [veil]).objects[0].phrase == "a white veil"
    blue = item(BLUE, phrase="a blue cup")
    assert compose(red, layout, [blue], channel_order="bgr").objects[0].phrase == "a blue cup"
