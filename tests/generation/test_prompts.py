"""Prompts for drawing: templates, files, a language model; the folders that they name."""

import json
from collections import Counter

import pytest

from sos_mm.formats.phrases import category_key
from sos_mm.generation.prompts import (
    WORDS_FILE,
    DrawingPrompt,
    PromptFile,
    TemplatePrompts,
    WrittenPrompts,
    check_folders,
    kind_of,
    slug,
    with_article,
)
from sos_mm.language_model import Answer, Usage, register_language_model
from sos_mm.segments.vocabulary import read_vocabulary

WORDS = json.loads(WORDS_FILE.read_text())


def test_words_are_well_formed():
    """Each kind's pattern has the gaps of its lists, and each category is of one kind."""
    members = Counter(name for kind in WORDS["kinds"].values() for name in kind["members"])
    assert max(members.values()) == 1
    for kind in WORDS["kinds"].values():
        gaps = {name: f"<{name}>" for name in kind["lists"]}
        assert all(gap in kind["pattern"].format(**gaps, name="x") for gap in gaps.values())
    for frame in WORDS["frames"]:
        text = frame.format(phrase="<p>", Phrase="<p>", view="<v>", ground="<g>", light="<l>")
        assert all(gap in text for gap in ("<p>", "<v>", "<g>", "<l>"))


def test_kinds_of_coco():
    """By COCO's own super-categories."""
    kinds = {name: kind_of(name, WORDS) for name in read_vocabulary("coco")}
    assert {kinds[name] for name in ("bird", "zebra", "giraffe", "teddy bear")} == {"animal"}
    assert {kinds[name] for name in ("banana", "hot dog", "cake")} == {"food"}
    assert {kinds[name] for name in ("car", "train", "boat")} == {"vehicle"}
    assert (kinds["person"], kinds["chair"], kinds["laptop"]) == ("person", "furniture", "device")
    assert kind_of("bat_(animal)", WORDS) == "animal"
    assert kind_of("gizmo", WORDS) == "object"


def test_templates_are_distinct_and_depend_on_category_and_seed_alone():
    both = list(TemplatePrompts(40).write(["mug", "scissors"], 7))
    assert len({prompt.text for prompt in both}) == 80
    assert both[40:] == list(TemplatePrompts(40).write(["scissors"], 7))
    assert both[:40] != list(TemplatePrompts(40).write(["mug"], 8))
    assert list(TemplatePrompts(10).write(["mug"], 7)) == both[:10]
    for prompt in both[:40]:
        assert "mug" in prompt.phrase.split()
        assert prompt.phrase.lower() in prompt.text.lower()
        assert set(prompt.features) <= set(prompt.phrase.replace("-", " ").split()) | set(prompt.features)
        assert prompt.description == f"{prompt.phrase[0].upper()}{prompt.phrase[1:]}."
    assert all(prompt.phrase.startswith("a pair of ") for prompt in both[40:])


def test_too_many_templates_are_refused(tmp_path):
    words = {**WORDS, "frames": WORDS["frames"][:1], "views": ["v"], "grounds": ["g"], "lights": ["l"]}
    (tmp_path / "words.json").write_text(json.dumps(words))
    # Repeated words give the same prompt: "" twice and nine more states, "" and eleven colours.
    assert len(list(TemplatePrompts(120, tmp_path / "words.json").write(["gizmo"], 0))) == 120
    with pytest.raises(ValueError, match=r"`prompts\.per_category` must be at most 120 for 'gizmo'"):
        list(TemplatePrompts(121, tmp_path / "words.json").write(["gizmo"], 0))
    (tmp_path / "words.json").write_text("{}")
    with pytest.raises(ValueError, match="must have the form of"):
        list(TemplatePrompts(1, tmp_path / "words.json").write(["gizmo"], 1))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        TemplatePrompts(1, tmp_path / "none.json")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("old car", "an old car"),
        ("used car", "a used car"),
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("hour hand", "an hour hand"),
        ("one-wheeled cart", "a one-wheeled cart"),
        ("ewe", "a ewe"),
        ("red mug", "a red mug"),
    ],
)
def test_articles(phrase, expected):
    assert with_article(phrase) == expected


@pytest.mark.parametrize("vocabulary", ["coco", "lvis", "objects365", "ade20k"])
def test_folders_name_their_categories(vocabulary):
    if vocabulary != "coco":
        pytest.importorskip("mmdet")
    names = list(read_vocabulary(vocabulary))
    for name in names:
        folder = slug(name)
        assert "/" not in folder
        assert category_key(folder) == " ".join(category_key(name.replace("/", " ")).split())
    prompts = list(TemplatePrompts(2).write(names, 0))
    check_folders(prompts)
    assert len(prompts) == 2 * len(names)


def test_folders_with_one_key_are_refused():
    prompts = [DrawingPrompt("a b", "x", "a c"), DrawingPrompt("a", "x", "a b c")]
    assert [prompt.folder for prompt in prompts] == ["a_b/c", "a/b_c"]
    with pytest.raises(ValueError, match=r"'a_b/c' and 'a/b_c' are both 'a_b_c'"):
        check_folders(prompts)


def test_prompt_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    written = list(TemplatePrompts(2).write(["mug", "dog"], 0))
    path.write_text("".join(json.dumps(prompt.to_json()) + "\n" for prompt in written))
    assert list(PromptFile(path).write([], 0)) == written
    assert list(PromptFile(path).write(["Dog"], 0)) == written[2:]
    path.write_text('{"category": "mug", "text": "a mug"}\n')
    assert list(PromptFile(path).write(["mug"], 0)) == [DrawingPrompt("mug", "a mug", "a mug")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty|holds none"),
        ('{"category": "cat", "text": "a cat"}\n', "holds none"),
        ('{"category": "mug"}\n', "must have `text`"),
        ('{"category": "mug", "text": " "}\n', "text that is not blank as `text`"),
        ('{"category": "mug", "text": "x", "features": "red"}\n', "a list of words as `features`"),
        ("{", "line 1"),
    ],
)
def test_faulty_prompt_files(tmp_path, text, said):
    (tmp_path / "prompts.jsonl").write_text(text)
    with pytest.raises(ValueError, match=said):
        list(PromptFile(tmp_path / "prompts.jsonl").write(["mug"], 0))


@register_language_model
class PromptWriter:
    """A language model that answers by the number of descriptions that it is asked for."""

    def __init__(self, refused=""):
        self.usage, self.refused = Usage(), refused

    def ask(self, requests):
        for request in requests:
            category, number = request.messages[-1]["content"].split("Category: ")[1].split("\n\nWrite ")
            if category == self.refused:
                yield Answer(reason="refused", text="No.")
                continue
            objects = [
                {
                    "phrase": f"a {color} {category}",
                    "description": f"A {color} {category}.",
                    "features": [color],
                    "view": "seen from below",
                }
                for color in ("red", "blue", "green", "red")[: int(number.split()[0])]
            ]
            yield Answer({"objects": objects})


def test_written_prompts():
    source = WrittenPrompts({"type": "PromptWriter"}, per_category=6, at_once=4)
    found = list(source.write(["mug", "lamp"], 0))
    # Of two requests with four and two descriptions, those that are new.
    phrases = [f"a {color} {category}" for category in ("mug", "lamp") for color in ("red", "blue", "green")]
    assert [prompt.phrase for prompt in found] == phrases
    assert found[0].folder == "mug/red_mug"
    assert "seen from below" in found[0].text
    assert found == list(source.write(["mug", "lamp"], 0))
    with pytest.raises(ValueError, match="no usable prompt for 'lamp'"):
        list(WrittenPrompts({"type": "PromptWriter", "refused": "lamp"}).write(["mug", "lamp"], 0))
