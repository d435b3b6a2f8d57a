"""Images made by hand, whose facts anybody can see."""

import numpy as np
import pytest

from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.facts import Facts
from sos_mm.referring.phrasing import Amounts, write
from sos_mm.referring.thresholds import Thresholds
from sos_mm.referring.verify import verify
from tests.referring.scenes import drawn

# A red dog and a green dog stand left and right of a blue car; a small red dog is above the green one.
DOGS = [
    ("dog", (20, 190, 80, 260), "red"),
    ("car", (150, 170, 250, 250), "blue"),
    ("dog", (310, 180, 380, 245), "green"),
    ("dog", (330, 30, 360, 55), "red"),
]


@pytest.fixture(scope="module")
def dogs():
    return drawn(DOGS, complete=["object", "cat", "bus", "zebra"])


TRUE = [
    ("the dog on the left", [0]),
    ("Dog on left.", [0]),
    ("the left dog", [0]),
    ("the leftmost dog", [0]),
    ("the dog that's to the left of the car", [0]),
    ("the red dog left of the car", [0]),
    ("the dog which is located on the left side of the blue car", [0]),
    ("the green dog", [2]),
    ("the dog that is green", [2]),
    ("the green animal", [2]),
    ("the smallest dog", [3]),
    ("the dog above the green dog", [3]),
    ("the dog in the top right corner", [3]),
    ("the topmost dog", [3]),
    ("the dog farthest from the car", [3]),
    ("first dog from the left", [0]),
    ("the car between the red dog on the left and the green dog", [1]),
    ("the vehicle", [1]),
    ("the only car", [1]),
    ("the smallest of the three dogs", [3]),
    ("the dog that is the smallest", [3]),
    ("the leftmost of the red dogs", [0]),
    ("both dogs on the right", [2, 3]),
    ("the two red dogs", [0, 3]),
    ("all three dogs", [0, 2, 3]),
    ("all animals", [0, 2, 3]),
    ("the cat", []),
    ("the blue dog", []),
    ("the dog at the top left", []),
    ("the four dogs", []),
    ("the zebra next to the car", []),
    ("the dog to the left of the bus", []),
    ("the fifth dog from the left", []),
]


@pytest.mark.parametrize(("text", "targets"), TRUE)
def test_what_is_true(dogs, text, targets):
    verdict = verify(dogs, text, targets)
    assert verdict.status == "true", verdict


REFUSED = [
    ("the dog", [0], "several"),
    ("the red dog", [0], "several"),
    ("the dog on the right", [0], "does not fit"),
    ("the leftmost dog", [2], "does not fit"),
    ("the yellow dog", [0], "does not fit"),
    ("the cat on the left", [0], "does not fit"),
    ("both red dogs", [0], "worded for 2"),
    ("all dogs", [0, 2], "also fits"),
    ("the dogs on the left", [0], "several targets"),
    ("the green dog", [], "it means"),
    ("the second dog from the left", [0], "does not fit"),
    ("the two dogs", [0, 2], "also fits"),
]


@pytest.mark.parametrize(("text", "targets", "reason"), REFUSED)
def test_what_is_refused(dogs, text, targets, reason):
    verdict = verify(dogs, text, targets)
    assert verdict.status == "refused"
    assert reason in verdict.reason


NOT_UNDERSTOOD = [
    "", "  ", ",", "the", "red", "the dog that is not red", "the dog without a collar", "dog or cat", "the dog dog",
    "the dog and the car", "a photo of dogs playing poker", "the dog 🦊 jumps", "the largest dogs", "the second dog",
    "x" * 10_000_000, "the " * 100_000, "猫", "the dog on the left of", "two dog",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=lambda text: repr(text[:20]))
def test_what_is_not_understood(dogs, text):
    verdict = verify(dogs, text, [0])
    assert (verdict.status, verdict.reason, verdict.meant) == ("undecidable", "not understood", ())


def test_two_readings_must_agree():
    # The cat on the right has a dog to its left, and so has the cat in the middle: the dog is the same in both readings
    # of the first sentence, but not in those of the second.
    image = drawn([
        ("dog", (20, 120, 60, 160), "red"), ("cat", (340, 120, 380, 160), "red"), ("dog", (300, 20, 390, 60), "red"),
    ])  # fmt: skip
    assert len(verify(image, "the dog to the left of the cat on the right", [0]).meant) > 1
    assert verify(image, "the dog to the left of the cat on the right", [0]).status != "refused"
    assert verify(image, "the dog on the left that is left of the cat", [0]).status == "true"


def test_words_that_say_nothing_deny_nothing():
    """An umbrella that is not called striped may be striped; one that is called closed is not open."""
    things = [
        ("umbrella", (20, 100, 80, 160), "", ["striped", "open"]), ("umbrella", (300, 100, 360, 160), "", ["closed"]),
        ("umbrella", (160, 100, 220, 160), "", ["closed", "wet"]),
    ]  # fmt: skip
    image = drawn(things)
    assert verify(image, "the striped umbrella", [0]).status == "undecidable"
    assert verify(image, "the open umbrella", [0]).status == "true"
    assert verify(image, "both closed umbrellas", [1, 2]).status == "true"
    assert verify(image, "the spotted umbrella", []).status == "undecidable"
    assert verify(image, "the striped umbrella on the left", [0]).status == "true"


def test_pixels_outweigh_words():
    """A dog that is called red and painted green is neither said to be red nor to be green."""
    image = drawn([("dog", (20, 100, 80, 160), "green", ["red"]), ("dog", (300, 100, 360, 160), "blue")])
    assert verify(image, "the red dog", [0]).status == "undecidable"
    assert verify(image, "the green dog", [0]).status == "undecidable"
    assert verify(image, "the blue dog", [1]).status == "true"
    rng = np.random.default_rng(0)
    texts = [each.text for _ in range(20) for each in write(image, rng) if each.targets]
    assert texts
    assert not [text for text in texts if "red" in text.split() or "green" in text.split()]


def test_colours_without_pixels_are_those_of_words():
    image = drawn([("cup", (20, 100, 80, 160), "", ["red"]), ("cup", (300, 100, 360, 160), "", ["blue"]),
                   ("cup", (200, 100, 240, 160), "", [])])  # fmt: skip
    assert verify(image, "the red cup", [0]).status == "undecidable"  # The third may be red as well.
    assert verify(image, "the red cup on the left", [0]).status == "true"


def test_people_are_not_called_by_colours():
    image = drawn([("person", (20, 100, 80, 160), "red"), ("person", (300, 100, 360, 160), "blue")])
    assert verify(image, "the red person", [0]).status == "undecidable"
    texts = [each.text for seed in range(10) for each in write(image, np.random.default_rng(seed))]
    assert texts
    assert not [text for text in texts if {"red", "blue"} & {*text.split()}]


def test_borderline_facts_are_neither_said_nor_denied():
    # Centres at 0.375 of the width; areas that differ by a fifth.
    image = drawn([("dog", (130, 100, 170, 140), "red"), ("dog", (300, 100, 344, 144), "red")])
    for targets in ([0], []):
        assert verify(image, "the dog on the left", targets).status == "undecidable"
        assert verify(image, "the largest dog", [1]).status == "undecidable"
    assert verify(image, "the leftmost dog", [0]).status == "true"


def test_in_front_is_never_guessed_from_the_image():
    boxes = [("cat", (100, 100, 200, 200), "red"), ("dog", (150, 150, 260, 260), "blue")]
    assert verify(drawn(boxes), "the dog in front of the cat", [1]).status == "undecidable"
    ordered = [(*each, [], {"z_order": place, "visible_share": 0.75}) for place, each in enumerate(boxes)]
    assert verify(drawn(ordered), "the dog in front of the cat", [1]).status == "true"
    assert verify(drawn(ordered), "the cat behind the dog", [0]).status == "true"
    assert verify(drawn(ordered), "the dog behind the cat", []).status == "true"
    deep = [(*each, [], {"depth": depth}) for each, depth in zip(boxes, (2.0, 5.0), strict=True)]
    assert verify(drawn(deep), "the cat in front of the dog", [0]).status == "true"
    assert verify(drawn(deep), "the animal closest to the camera", [0]).status == "true"


def test_crowds_make_undecidable_what_they_may_contradict():
    people = [("person", (20, 100, 80, 200), ""), ("dog", (300, 200, 380, 260), "")]
    crowd = drawn(people, ignored=[("person", (250.0, 50.0, 390.0, 150.0))])
    assert verify(crowd, "the person", [0]).status == "undecidable"
    assert verify(crowd, "the person on the left", [0]).status == "true"
    assert verify(crowd, "the leftmost person", [0]).status == "true"
    assert verify(crowd, "the rightmost person", [0]).status == "undecidable"
    assert verify(crowd, "the dog", [1]).status == "true"
    assert verify(crowd, "the cat", []).status == "true"
    assert verify(crowd, "the two people", []).status == "undecidable"
    anything = drawn(people, ignored=[("", (250.0, 50.0, 390.0, 150.0))])
    assert verify(anything, "the cat", []).status == "undecidable"
    assert verify(anything, "the cat in the lower left", []).status == "undecidable"  # That of several in the region.
    assert verify(crowd, "the dog in the upper left", []).status == "true"
    assert verify(anything, "the dog", [1]).status == "undecidable"
    assert verify(anything, "the dog at the bottom", [1]).status == "true"


def test_without_completeness_nothing_is_unique_or_absent():
    things = [("person", (20, 100, 80, 200), ""), ("dog", (300, 200, 380, 260), "")]
    image = drawn(things, complete=["dog", "cat"])
    assert verify(image, "the person", [0]).status == "undecidable"
    assert verify(image, "the person", [1]).status == "refused"
    assert verify(image, "the dog", [1]).status == "true"
    assert verify(image, "the cat", []).status == "true"
    assert verify(image, "the bus", []).status == "undecidable"
    assert verify(image, "the animal", [1]).status == "undecidable"
    assert not [each for each in write(image, np.random.default_rng(0)) if 0 in each.targets]


def test_confusable_names():
    image = drawn([("cup", (20, 100, 80, 160), "red"), ("bowl", (300, 100, 360, 160), "red")])
    assert verify(image, "the cup", [0]).status == "undecidable"
    assert verify(image, "the cup on the left", [0]).status == "true"
    assert verify(image, "the mug", []).status == "undecidable"


def test_twins_get_no_singular_expression():
    image = drawn([("dog", (180, 100, 220, 140), "red"), ("dog", (182, 103, 222, 143), "red")])
    for seed in range(20):
        for each in write(image, np.random.default_rng(seed)):
            assert each.plural or not each.targets, each


@pytest.mark.parametrize("number", [0, 1, 200])
def test_any_number_of_objects(number):
    rng = np.random.default_rng(number)
    things = []
    for index in range(number):
        x, y = (int(each) for each in rng.integers(0, 900, 2))
        things.append((["dog", "cat", "cup"][index % 3], (x, y, x + 40, y + 40), ["red", "blue", "green"][index % 3]))
    image = drawn(things, size=(1000, 1000))
    out = write(image, np.random.default_rng(0), facts=Facts(image, Thresholds(most=200)))
    assert bool(out) == bool(number)
    # Of so many that look alike, no few can be told apart.
    assert len(write(image, np.random.default_rng(0))) == (0 if number == 200 else len(out))
    assert len({each.text for each in out}) == len(out)
    assert all(verify(image, each.text, each.targets).status == "true" for each in out)


@pytest.mark.parametrize("category", ["猫", "собака", "Käse_№5", "bat_(animal)", "a", "the", "left", "red", "🦇"])
def test_categories_of_any_kind(category):
    image = drawn(
        [(category, (20, 100, 80, 160), "red"), (category, (300, 100, 380, 180), "blue")], complete=[category]
    )
    for seed in range(5):
        for each in write(image, np.random.default_rng(seed)):
            assert verify(image, each.text, each.targets).status == "true", each


def test_without_masks_and_pixels():
    image = drawn([(name, box, "") for name, box, _ in DOGS])
    out = [each for seed in range(10) for each in write(image, np.random.default_rng(seed))]
    assert len(out) > 50
    assert not [each for each in out if "red" in each.text.split() and each.targets]
    assert verify(image, "the dog touching the car", [0]).status == "refused"


def test_head_names_the_targets(dogs):
    heads = {each.text[slice(*each.head)] for seed in range(30) for each in write(dogs, np.random.default_rng(seed))}
    assert {"red dog", "dog", "green dog", "car"} <= heads
    assert not [head for head in heads if head.startswith("the ") or "left" in head or "most" in head]


def test_near_misses_differ_in_one_thing(dogs):
    found = [each for seed in range(30) for each in write(dogs, np.random.default_rng(seed)) if not each.targets]
    assert {each.changed for each in found} == {"object", "attribute", "relation", "count"}
    for each in found:
        before, after = each.near.split(), each.text.split()
        assert len(set(before) ^ set(after)) <= 6, each
        assert each.targets == ()


def test_pairs_differ_in_one_thing_and_mean_others(dogs):
    found = {}
    for seed in range(60):
        out = write(dogs, np.random.default_rng(seed))
        texts = {each.text: each for each in out}
        found |= {each.text: (each, texts[each.pair]) for each in out if each.pair}
    assert found
    for one, other in found.values():
        assert one.targets != other.targets
        assert len(set(one.text.split()) ^ set(other.text.split())) <= 6, (one.text, other.text)


def test_the_same_generator_gives_the_same_words(dogs):
    one, other = (write(dogs, np.random.default_rng(5)) for _ in range(2))
    assert one == other
    assert one != write(dogs, np.random.default_rng(6))


def test_other_thresholds(dogs):
    strict = Facts(dogs, Thresholds(side=0.01))
    assert verify(dogs, "the dog on the left", [0], facts=strict).status == "undecidable"
    assert not [
        e for e in write(dogs, np.random.default_rng(0), facts=strict) if "positions" in e.meaning and e.targets
    ]


def test_no_target_is_too_small_to_find_and_no_group_too_large_to_count():
    """A small one is the twin of "the largest", and one of "all"; nine are a group that few readers count."""
    cups = [((20 + 60 * place, 20, 60 + 60 * place, 60), "cup") for place in range(9)]
    dogs = [((20, 120, 140, 220), "dog"), ((200, 120, 260, 180), "dog"), ((300, 150, 308, 156), "dog")]
    instances = [Instance(id, category, box) for id, (box, category) in enumerate([*cups, *dogs])]
    image = AnnotatedImage(600, 300, tuple(instances), complete=frozenset({"cup", "dog"}))
    tiny, sentences = 11, []
    for seed in range(40):
        sentences += write(image, np.random.default_rng(seed))
    assert all(tiny not in each.targets and len(each.targets) <= 6 for each in sentences)
    assert {each.targets for each in sentences} > {(9,), (10,), ()}
    # Both are said if one asks for it.
    facts = Facts(image, Thresholds(smallest=0, most=9))
    targets = {each.targets for seed in range(40) for each in write(image, np.random.default_rng(seed), facts=facts)}
    assert {(tiny,), (9, 10, 11), tuple(range(9))} <= targets


def test_wrong_arguments(dogs):
    with pytest.raises(ValueError, match=r"`targets` must be an integer in \[0, 3\], but got 4"):
        verify(dogs, "the dog", [4])
    with pytest.raises(ValueError, match="`language` must be one of 'de', 'en', but got 'eo'"):
        write(dogs, np.random.default_rng(0), language="eo")
    with pytest.raises(ValueError, match=r"`side` must be below `not_side`, but got 0\.5 and 0\.45"):
        Thresholds(side=0.5)
    with pytest.raises(ValueError, match=r"`larger` must be in \[1, 100\], but got 0.5"):
        Thresholds(larger=0.5)
    with pytest.raises(ValueError, match=r"together at most 1, but got 0.6 and 0.6"):
        Amounts(several=0.6, none=0.6)


def test_the_left_one_is_left_of_others_of_its_kind():
    # All stand on the right; what may be a cup as well stands left of the cup.
    image = drawn([("cup", (340, 100, 380, 140), "red"), ("bowl", (290, 100, 330, 140), "red"),
                   ("dog", (300, 200, 340, 240), "red"), ("dog", (345, 200, 385, 240), "red")])  # fmt: skip
    assert verify(image, "the cup on the left", [0]).status == "refused"
    assert verify(image, "the cup on the right", [0]).status == "undecidable"
    assert verify(image, "both dogs on the left", [2, 3]).status == "refused"
    assert verify(image, "the dog on the left", [2]).status == "undecidable"
    assert verify(image, "the dog on the left", [3]).status == "refused"


def test_a_colour_that_words_and_pixels_confirm_excludes_unlike_ones():
    """Mostly yellow, a fifth each orange and brown: orange and brown are confused with red, as yellow is not."""
    pixels = np.full((300, 400, 3), 128, np.uint8)
    pixels[100:160, 20:120] = (240, 225, 30)
    pixels[160:180, 20:120], pixels[180:200, 20:120] = (250, 130, 10), (110, 65, 25)
    mask = np.ones((100, 100), bool)
    for attributes, status in ((("yellow",), "refused"), ((), "undecidable"), (("blue",), "undecidable")):
        cup = Instance(0, "cup", (20.0, 100.0, 120.0, 200.0), mask, (20, 100), attributes=attributes)
        image = AnnotatedImage(400, 300, (cup,), complete=frozenset(["object"]), image=pixels)
        assert verify(image, "the red cup", [0]).status == status, attributes


def test_between_two_of_a_kind():
    row = [
        ("dog", (20, 100, 80, 160), "red"),
        ("car", (160, 100, 220, 160), "red"),
        ("dog", (300, 100, 360, 160), "red"),
    ]
    assert verify(drawn(row), "the car between the two dogs", [1]).status == "true"
    assert verify(drawn(row), "the car between the dogs", [1]).status == "true"
    assert verify(drawn(row[:2]), "the car between the two dogs", [1]).status == "undecidable"
    assert verify(drawn(row[1:2]), "the car between the two dogs", [0]).status == "refused"


def test_colors_of_a_sparse_mask_are_measured_on_more_than_a_few_pixels():
    """A lattice whose pixels on a coarse grid are black, while nearly all the others are white."""
    mask = np.random.default_rng(0).random((400, 400)) < 0.08
    image = np.full((400, 400, 3), 255, np.uint8)
    mask[::28, ::28], image[::28, ::28] = True, 0
    lattice = Instance(0, "bench", (0.0, 0.0, 400.0, 400.0), mask)
    facts = Facts(AnnotatedImage(400, 400, (lattice,), complete=frozenset(["object"]), image=image))
    assert facts.colors_of(0) == ["white"]
