"""SegmentPaste and words: captions and label maps of grounding data keep their spans, names and lengths."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mmcv")

from sos_mm.augmentation import segment_paste
from sos_mm.augmentation.captions import estimated_tokens, possible_phrases
from sos_mm.augmentation.label_mapper import LabelMapper, append_phrase, names_of_labels, phrase_of
from tests.augmentation.samples import LAYOUT, SIZE, build, random_sample
from tests.composition.test_true_scenes import blend


def grounding(seed=0, text="A cat on a lawn", phrase="A cat") -> dict:
    sample = random_sample(seed, 1)
    del sample["masks"]
    start = text.index(phrase)
    phrases = {0: {"phrase": phrase, "tokens_positive": [[start, start + len(phrase)]]}}
    return {**sample, "gt_bboxes_labels": np.array([0]), "text": text, "phrases": phrases}


def pasted(results: dict) -> int:
    """How many objects came to the one of the image itself."""
    return len(results["gt_bboxes"]) - 1


def test_captions(bank_config):
    """Every span gives back its phrase, every label has one, and what stood there stands."""
    paste = build(bank_config, classes=None)
    seen = set()
    for seed in range(500):
        sample = grounding(seed)
        results = paste(dict(sample))
        assert results["text"].startswith("A cat on a lawn")
        assert set(results["gt_bboxes_labels"]) <= set(results["phrases"])
        for entry in results["phrases"].values():
            for start, end in entry["tokens_positive"]:
                assert results["text"][start:end] == entry["phrase"]
        seen |= {entry["phrase"] for entry in results["phrases"].values()}
        assert sample["text"] == "A cat on a lawn"
        assert list(sample["phrases"]) == [0]
    assert seen == {"A cat", "a red apple", "a green apple", "a small dog"}


def test_a_phrase_that_is_there_stands_for_the_new_object_too(bank_config):
    results = build({**bank_config, "vocabulary": ["dog"]}, classes=None)(
        grounding(text="a small dog.", phrase="a small dog")
    )
    assert results["text"] == "a small dog."
    assert pasted(results) > 0
    assert set(results["gt_bboxes_labels"]) == {0}


def test_captions_stay_short(bank_config):
    text = "A cat " * 40
    paste = build(bank_config, classes=None, max_tokens=estimated_tokens(text) + 7)
    results = paste(grounding(text=text))
    # Of seven tokens beyond the caption, one phrase takes more than half.
    assert len(results["phrases"]) <= 2
    assert estimated_tokens(results["text"]) + 2 <= paste.max_tokens
    assert build(bank_config, classes=None, max_tokens=1)(grounding())["text"] == "A cat on a lawn"
    assert append_phrase("", "a dog") == ("a dog.", (0, 5))
    assert append_phrase("Two. ", "a dog") == ("Two. a dog.", (5, 10))


def test_captions_with_the_ends_that_are_added_are_within_the_limit(bank_config):
    """What is pasted is never beyond the place where a language model cuts the caption off."""
    grown = 0
    for limit in range(4, 40):
        paste = build(bank_config, classes=None, max_tokens=limit)
        for seed in range(10):
            before = grounding(seed)
            after = paste(dict(before))
            if after["text"] != before["text"]:
                assert estimated_tokens(after["text"]) + 2 <= limit
                grown += 1
    assert grown > 100, "too few captions grew for the limit to be met"


def test_phrases_of_the_caption_cost_nothing(bank_config):
    paste = build({**bank_config, "vocabulary": ["dog"]}, classes=None, max_tokens=9)
    sample = grounding(text="a small dog. ", phrase="a small dog")
    results = paste(dict(sample))
    assert pasted(results) > 0
    assert results["text"] == sample["text"]


def test_phrases_are_those_that_the_engine_writes():
    words = {"phrase": "", "category": "bat_(animal)"}
    assert phrase_of(SimpleNamespace(**words)) == "bat"
    assert phrase_of(SimpleNamespace(**words | {"phrase": "A  red bat. "})) == "a red bat"


def test_chosen_phrases_are_refused(bank_config):
    with pytest.raises(ValueError, match="before RandomSamplingNegPos"):
        build(bank_config, classes=None)({**grounding(), "tokens_positive": {0: [[0, 5]]}})


def test_label_maps_of_grounding_data(bank_config):
    """Detection data of ODVG name their classes themselves; unknown ones are refused or added to the map."""
    text = {"0": "cat", "1": "Dog"}
    sample = {**grounding(), "text": text}
    del sample["phrases"]
    with pytest.raises(ValueError, match="'apple', which the data set's classes do not name"):
        build(bank_config, classes=None)(dict(sample))
    found = set()
    for seed in range(20):
        results = build(bank_config, classes=None, unknown="append")({**sample, "img_path": f"{seed}"})
        labels = set(results["gt_bboxes_labels"].tolist())
        found |= labels
        assert labels <= set(map(int, results["text"]))
        assert (2 in labels) == (results["text"].get("2") == "apple")
    assert found == {0, 1, 2}
    assert text == {"0": "cat", "1": "Dog"}
    with pytest.raises(ValueError, match="lacks '1'"):
        names_of_labels({"0": "cat", "2": "dog"})


@pytest.fixture
def composed(monkeypatch) -> list:
    """The scenes that are composed."""
    scenes = []

    def kept(*args, **options):
        scenes.append(render(*args, **options))
        return scenes[-1]

    render = segment_paste.render
    monkeypatch.setattr(segment_paste, "render", kept)
    return scenes


@pytest.mark.parametrize("phrase", ["A cat", "a red apple"])
def test_captions_say_what_light_left_of_words_and_stay_within_the_limit(bank_config, composed, phrase):
    """Phrases are chosen before light changes them: as "a red apple" that is in the caption, but no longer true."""
    changed, text = 0, f"{phrase} on a lawn"
    lights = ["default", blend("OtherColors", background="original")]
    for limit in range(6, 36):
        paste = build(bank_config, classes=None, max_tokens=limit, effects=lights, layout={**LAYOUT, "hue": 0.5})
        for seed in range(8):
            composed.clear()
            before = grounding(seed, text=text, phrase=phrase)
            after = paste(dict(before))
            assert estimated_tokens(after["text"]) + 2 <= max(limit, estimated_tokens(text) + 2)
            if len(after["gt_bboxes_labels"]) == len(before["gt_bboxes_labels"]):
                continue
            objects = composed[0].objects
            labels = after["gt_bboxes_labels"][-len(objects) :]
            assert [after["phrases"][label]["phrase"] for label in labels] == list(map(phrase_of, objects))
            changed += sum(phrase_of(each) in ("apple", "an apple") for each in objects)
    assert changed > 20


def test_all_that_an_object_may_be_called_is_bounded():
    record = SimpleNamespace(phrase="a red apple", category="cooking_apple_(fruit)")
    assert possible_phrases(record, frozenset(), False) == ("a red apple",)
    assert possible_phrases(record, frozenset({"color"}), False) == ("a red apple", "cooking apple")
    assert set(possible_phrases(record, frozenset(), True)) > {"a red apple", "an orange apple", "a purple apple"}
    plain = SimpleNamespace(phrase="an apple", category="apple")
    assert possible_phrases(plain, frozenset({"color"}), True) == ("an apple",)


@pytest.mark.parametrize(("text", "expected"), [("a red cat", False), ("a cat", True), ("a dim cat", True)])
def test_light_that_falsifies_the_caption_is_left_out(bank_config, text, expected):
    """The relighter turns the whole image, its red cat included, blue."""
    sample = grounding(text=text, phrase=text)
    sample["img"] = np.full((*SIZE, 3), (20, 20, 210), np.uint8)  # BGR
    relit = {**blend("OtherColors", low=0.0, high=0.0), "background": "relit"}
    after = build(bank_config, classes=None, effects=[relit])(dict(sample))
    assert (pasted(after) > 0) == expected
    assert (after["img"] != sample["img"]).any() == expected
    same = build(bank_config, classes=None, effects=[{**relit, "background": "original"}])(dict(sample))
    assert len(same["gt_bboxes"]) > 1


def test_the_label_mapper_changes_no_input():
    dog, cup = (SimpleNamespace(category=name, phrase="", sub_category="") for name in ("dog", "cup"))
    mapper, names, phrases = LabelMapper({"dog": 2, "cup": 4}), {"2": "Dog"}, {5: {"phrase": "a cat"}}
    # What a sample holds: its `text` and `phrases`, the labels, and the words that change.
    table = [
        (None, None, [2, 4, 2], {}),
        ("A cat.", None, [2, 4, 2], {}),
        ({"2": "Dog", "4": "cup"}, None, [2, 4, 2], {}),
        (names, None, [2, 4, 2], {"text": {"2": "Dog", "4": "cup"}}),
        ("a cat", phrases, [6, 7, 6], {"text": "a cat. dog. cup.", "phrases": {5, 6, 7}}),
    ]
    for text, given, labels, words in table:
        named = mapper.name([dog, cup, dog], text, given)
        assert named.labels == labels
        assert {**named.words, **({"phrases": set(named.words["phrases"])} if given else {})} == words
    assert (names, phrases) == ({"2": "Dog"}, {5: {"phrase": "a cat"}})
    assert LabelMapper().name([dog, cup]).labels == [0, 0]
