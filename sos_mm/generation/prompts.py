"""Prompts for drawing objects: from templates, from a file, or from a language model."""

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sos_mm.checks import check_integer
from sos_mm.formats.json_reader import record_lines
from sos_mm.formats.phrases import category_key, category_phrase
from sos_mm.formats.records import TEXT, WORDS, Field, list_of, optional
from sos_mm.language_model import Answer, Request, ask_each, build_language_model, load_prompts
from sos_mm.registry import Registry
from sos_mm.seeding import Purpose, generator, image_id

WORDS_FILE = Path(__file__).with_name("words.json")
PROMPTS_FILE = Path(__file__).with_name("prompts.txt")
# Longest names of folders, in characters: file systems allow 255 bytes.
_SLUG = 80


@dataclass(frozen=True)
class DrawingPrompt:
    """The text that an object is drawn from, and the texts of the resulting segment.

    Attributes:
        category: Category name, such as ``"cell phone"``.
        text: What the text-to-image model is asked for.
        phrase: Noun phrase of the object, such as ``"a small red cell phone"``.
        description: A sentence that holds for the object from every side.
        features: Single features, such as ``("small", "red")``.
    """

    category: str
    text: str
    phrase: str
    description: str = ""
    features: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Path of its segments below the bank's folder, ``<category>/<sub-category>``."""
        return f"{slug(self.category)}/{slug(_without_article(self.phrase))}"

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return {**asdict(self), "features": list(self.features)}


def slug(name: str) -> str:
    """Returns a name as that of a folder; `category_key` of it and of the name are equal but for slashes.

    >>> slug("Cell phone"), slug("Monitor/TV"), slug("mouse_(computer_equipment)")
    ('cell_phone', 'monitor_tv', 'mouse_(computer_equipment)')
    """
    key = category_key(re.sub(r"[/\\\0]", " ", name)).replace(" ", "_").lstrip(".")
    return key[:_SLUG] or "_"


def _without_article(phrase: str) -> str:
    return re.sub(r"^(?:an?|the|some) ", "", phrase)


def _words(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def kind_of(category: str, words: Mapping[str, Any]) -> str:
    """Finds the kind of a category, whose members hold its name, its name without brackets, or its last word."""
    plain = category_phrase(category)
    for name in (category_key(category), plain, plain.rsplit(" ", 1)[-1]):
        for kind, content in words["kinds"].items():
            if name in content["members"]:
                return kind
    return "object"


def spoken_name(category: str) -> str:
    """Returns the name of a category as a prompt says it: the first of alternatives, without additions in brackets.

    >>> spoken_name("Monitor/TV"), spoken_name("bat_(animal)")
    ('monitor', 'bat')
    """
    return category_phrase(re.split(r"[/,]", category)[0].strip() or category)


def with_article(phrase: str) -> str:
    """Puts the indefinite article before a phrase.

    >>> with_article("old car"), with_article("used car"), with_article("hourglass")
    ('an old car', 'a used car', 'an hourglass')
    """
    vowel = re.match(r"(?:[aeio]|u(?!ni|s[aei]|k|te)|hour|heir|honest|suv\b)(?<!\bone)", phrase) is not None
    return f"{'an' if vowel and not phrase.startswith(('one', 'euro', 'ewe')) else 'a'} {phrase}"


@dataclass(frozen=True)
class TemplatePrompts:
    """Prompts from templates: a frame with a phrase, a view, a background and a light.

    Args:
        per_category: Number of prompts for each category.
        words: A JSON file in the form of ``sos_mm/generation/words.json``; None for that file.
    """

    per_category: int = 20
    words: str | Path | None = None

    def __post_init__(self):
        check_integer("prompts.per_category", self.per_category, 1, 10**6)
        if self.words is not None and not Path(self.words).is_file():
            raise FileNotFoundError(f"`prompts.words` must be a JSON file, but {self.words} does not exist.")

    def write(self, categories: Sequence[str], seed: int) -> Iterator[DrawingPrompt]:
        """Yields the prompts of each category; those of one category do not depend on the other categories.

        Raises:
            ValueError: If the words give too few different prompts, or the file is invalid.
        """
        path = Path(self.words or WORDS_FILE)
        try:
            words = _words(path)
            for category in categories:
                yield from self._of_category(category, words, seed)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} must have the form of {WORDS_FILE}, but {error!r}.") from error

    def _of_category(self, category: str, words: Mapping[str, Any], seed: int) -> Iterator[DrawingPrompt]:
        kind = words["kinds"][kind_of(category, words)]
        lists = [*kind["lists"].values(), words["frames"], words["views"], words["grounds"], words["lights"]]
        # Lists repeat a word to draw it more often.
        number = math.prod(map(len, lists))
        texts: dict[str, DrawingPrompt] = {}
        for position in _positions(number, 10 * self.per_category, seed, category):
            prompt = self._prompt(category, kind, words, _combination(position, lists))
            texts.setdefault(prompt.text, prompt)
            if len(texts) == self.per_category:
                break
        else:
            raise ValueError(
                f"`prompts.per_category` must be at most {len(texts)} for {category!r}, as many different prompts as "
                f"the words give, but got {self.per_category}: raise `images_per_prompt` instead."
            )
        yield from texts.values()

    @staticmethod
    def _prompt(category: str, kind: Mapping, words: Mapping, drawn: Sequence[str]) -> DrawingPrompt:
        *adjectives, frame, view, ground, light = drawn
        name = spoken_name(category)
        gaps = dict(zip(kind["lists"], adjectives, strict=True), name=name)
        phrase = " ".join(kind["pattern"].format(**gaps).split())
        last = name.rsplit(" ", 1)[-1]
        phrase = with_article(f"pair of {phrase}" if last in words["pairs"] else phrase)
        text = frame.format(phrase=phrase, Phrase=_capital(phrase), view=view, ground=ground, light=light)
        features = tuple(word for word in adjectives if word)
        return DrawingPrompt(category, text, phrase, f"{_capital(phrase)}.", features)


def _positions(number: int, tries: int, seed: int, category: str) -> Iterator[int]:
    """Yields random numbers of combinations, some of them repeatedly; after so many tries, all that there are."""
    rng = generator(seed, Purpose.DRAWING_PROMPT, image_id(category_key(category)))
    for _ in range(tries):
        yield int(rng.integers(number))
    yield from range(number)


def _combination(position: int, lists: Sequence[Sequence[str]]) -> list[str]:
    """Returns one of all combinations of a word of each list, by its number."""
    drawn = []
    for each in lists:
        position, index = divmod(position, len(each))
        drawn.append(each[index])
    return drawn


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_FEATURES = Field("a list of words", list_of(lambda word: isinstance(word, str)), needed=False)
_RECORD = {
    "category": WORDS,
    "text": WORDS,
    "phrase": optional(WORDS),
    "description": optional(TEXT),
    "features": _FEATURES,
}


@dataclass(frozen=True)
class PromptFile:
    """Prompts from a JSON lines file.

    Each line holds ``category`` and ``text``, and may hold ``phrase``, ``description`` and ``features``.

    Args:
        path: The file.
    """

    path: str | Path

    def write(self, categories: Sequence[str], seed: int) -> Iterator[DrawingPrompt]:
        """Yields the prompts of the file, of the given categories only; all if there are none given.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a line is invalid, or there is no prompt.
        """
        wanted, number = {category_key(name) for name in categories}, 0
        for _, record in record_lines(self.path, _RECORD):
            if wanted and category_key(record["category"]) not in wanted:
                continue
            number += 1
            yield DrawingPrompt(
                record["category"],
                record["text"],
                record.get("phrase") or with_article(spoken_name(record["category"])),
                record.get("description") or "",
                tuple(record.get("features") or ()),
            )
        if not number:
            raise ValueError(f"{self.path} must hold prompts of the recipe's categories, but holds none.")


@dataclass(frozen=True)
class WrittenPrompts:
    """Prompts that a language model writes.

    Args:
        model: The dict of `sos_mm.language_model.build_language_model`.
        per_category: Number of prompts for each category.
        at_once: Largest number of prompts that one request asks for.
        prompts: A file with the prompt 'drawing', which has the gaps ``category`` and ``number``.
        words: As for `TemplatePrompts`: the frames around the model's phrases.
    """

    model: Mapping[str, Any]
    per_category: int = 20
    at_once: int = 20
    prompts: str | Path = PROMPTS_FILE
    words: str | Path | None = None

    def __post_init__(self):
        check_integer("prompts.per_category", self.per_category, 1, 10**6)
        check_integer("prompts.at_once", self.at_once, 1, 1000)

    def write(self, categories: Sequence[str], seed: int) -> Iterator[DrawingPrompt]:
        """Yields the prompts of each category; a refused request, or a repeated description, leaves fewer of them.

        Raises:
            EndpointError, ImportError: As `LanguageModel.ask`.
            ValueError: If a category gets no prompt.
        """
        prompt = load_prompts(self.prompts)["drawing"]
        sizes = [min(self.at_once, self.per_category - begin) for begin in range(0, self.per_category, self.at_once)]
        asked = [(category, size) for category in categories for size in sizes]

        def request(item: tuple[str, int]) -> Request:
            category, number = item
            gaps = {"category": spoken_name(category), "number": str(number)}
            return Request(prompt.messages(gaps), _answer_schema(number), None, "objects")

        answers = ask_each(build_language_model(self.model), asked, request)
        for category, group in itertools.groupby(answers, key=lambda pair: pair[0][0]):
            found = self._read(category, [answer for _, answer in group if answer], seed)
            if not found:
                raise ValueError(f"The language model wrote no usable prompt for {category!r}: ask another model.")
            yield from found

    def _read(self, category: str, answers: Iterable[Answer], seed: int) -> list[DrawingPrompt]:
        words = _words(Path(self.words or WORDS_FILE))
        rng = generator(seed, Purpose.DRAWING_PROMPT, image_id(category_key(category)))
        found: dict[str, DrawingPrompt] = {}
        for written in (each for answer in answers if answer.value for each in answer.value["objects"]):
            phrase = " ".join(written["phrase"].split()).rstrip(".")
            frame, ground, light = (
                words[key][rng.integers(len(words[key]))] for key in ("frames", "grounds", "lights")
            )
            view = written["view"].strip().rstrip(".")
            text = frame.format(phrase=phrase, Phrase=_capital(phrase), view=view, ground=ground, light=light)
            features = tuple(written["features"])
            prompt = DrawingPrompt(category, text, phrase, written["description"].strip(), features)
            found.setdefault(phrase.casefold(), prompt)
        return list(found.values())


def _answer_schema(number: int) -> dict[str, Any]:
    text = {"type": "string", "minLength": 3, "maxLength": 300}
    members = {
        "phrase": {**text, "maxLength": 100},
        "description": text,
        "features": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 40}, "maxItems": 8},
        "view": {**text, "maxLength": 80},
    }
    each = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
    objects = {"type": "array", "items": each, "minItems": 1, "maxItems": 2 * number}
    return {
        "type": "object",
        "properties": {"objects": objects},
        "required": ["objects"],
        "additionalProperties": False,
    }


PROMPT_SOURCES: Registry = Registry(
    "prompts.type",
    "key of prompts",
    {"templates": TemplatePrompts, "file": PromptFile, "language_model": WrittenPrompts},
)


def check_folders(prompts: Iterable[DrawingPrompt]) -> None:
    """Checks that no two sub-categories share the key of the release layout, ``<category>_<sub-category>``.

    Raises:
        ValueError: If two do; names them.
    """
    first: dict[str, str] = {}
    for prompt in prompts:
        key = prompt.folder.replace("/", "_", 1)
        if first.setdefault(key, prompt.folder) != prompt.folder:
            raise ValueError(
                f"Sub-categories must have keys of their own, but {first[key]!r} and {prompt.folder!r} are both "
                f"{key!r} in the release layout: rename a category."
            )
