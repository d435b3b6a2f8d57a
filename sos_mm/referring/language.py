"""Reads the words of one language from its file, for the grammar that writes and for the parser."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from sos_mm.checks import check_choice
from sos_mm.formats.phrases import category_phrase
from sos_mm.referring.concepts import concepts

_FOLDER = Path(__file__).parent / "words"
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("??.json")))
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*|,", re.UNICODE)


class Noun(NamedTuple):
    """The forms of a noun.

    Attributes:
        one: Its singular.
        many: Its plural; empty if it has none.
        gender: Its grammatical gender; empty in languages without.
        dative: Its singular in the dative.
    """

    one: str
    many: str
    gender: str = ""
    dative: str = ""

    @property
    def unmarked(self) -> bool:
        """Whether form and article are the same in singular and plural."""
        return self.one == self.many and not self.gender

    @property
    def forms(self) -> set[str]:
        """All singular forms."""
        return {self.one, self.dative or self.one}


class Language:
    """The words of one language.

    Args:
        name: Its ISO 639-1 code, that of a file in ``words/``.

    Raises:
        ValueError: If there is no such file.
    """

    def __init__(self, name: str):
        check_choice("language", name, LANGUAGES)
        self.name = name
        self.words: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        self._rules = [(re.compile(pattern), new) for pattern, new in self.words["plural_rules"]]
        self._before = re.compile("|".join(self.words["before_colors"]) or "(?!)")
        self._undeclined = frozenset(self.words["undeclined"])
        self._nouns: dict[str, tuple[Noun, ...]] = {}
        self._noun_kinds: dict[str, str] = {}
        self.marked = lru_cache(maxsize=64)(self._marked)
        self.the = lru_cache(maxsize=2**12)(self._the)
        self.adjective = lru_cache(maxsize=2**14)(self._adjective)
        # By sorted names, the phrases for a position.
        self.positions = {tuple(sorted(name.split())): entry["say"] for name, entry in self.words["positions"].items()}
        self.numbers = {number: word for word, number in reversed(self.words["numbers"].items())}
        named = (*self.words["nouns"], *self.words["understood_nouns"], *concepts().names)
        self._listed = {concept: None for concept in named if self.nouns(concept)}
        self._lexicon: dict[tuple[str, ...], list] = {}
        for phrase, tag, value in self._entries():
            entries = self._lexicon.setdefault(tokens(phrase), [])
            if (tag, value) not in entries:
                entries.append((tag, value))
        self.trie = trie(self._lexicon)

    @property
    def lexicon(self) -> dict[tuple[str, ...], list[tuple[str, Any]]]:
        """Entries, pairs of a tag and a value, by the tokens of a phrase."""
        return self._lexicon

    def has_noun(self, concept: str) -> bool:
        """Returns whether the lexicon has a concept by default; a parser may add others."""
        return concept in self._listed

    def nouns(self, concept: str) -> tuple[Noun, ...]:
        """Returns the nouns for a concept, the most usual first; empty if the language has none."""
        if concept not in self._nouns:
            texts = self.words["nouns"].get(concept)
            if texts is None:
                texts = [category_phrase(concept)] if self.words["unknown_nouns"] else []
            self._nouns[concept] = tuple(map(self._noun, texts))
        return self._nouns[concept]

    def noun_kind(self, concept: str) -> str:
        """Returns 'unmarked' or 'marked' (whether the usual noun shows its number), or '' if there is no noun."""
        if concept not in self._noun_kinds:
            nouns = self.nouns(concept)
            self._noun_kinds[concept] = "" if not nouns else "unmarked" if nouns[0].unmarked else "marked"
        return self._noun_kinds[concept]

    def _marked(self, concepts: frozenset[str]) -> frozenset[str]:
        """Returns the concepts whose noun shows its number."""
        return frozenset(each for each in concepts if self.noun_kind(each) == "marked")

    def noun_entries(self, concept: str) -> Iterator[tuple[str, str, tuple[str, str, str]]]:
        """Yields the lexicon's entries of a concept: form, tag 'noun', and (concept, number, gender)."""
        understood = tuple(map(self._noun, self.words["understood_nouns"].get(concept, ())))
        for noun in (*self.nouns(concept), *understood):
            for form in sorted({*noun.forms, noun.many} - {""}):
                number = "one" if form != noun.many else "many" if form not in noun.forms else "unmarked"
                yield form, "noun", (concept, number, noun.gender)

    def _noun(self, text: str) -> Noun:
        parts = text.split("|")
        if len(parts) == 1:
            parts.append(self._plural(text))
        elif parts[1] == "-":
            parts[1] = ""
        return Noun(*parts)

    def _plural(self, noun: str) -> str:
        """Returns the regular plural; empty if no rule fits, such as for words in other scripts."""
        for pattern, new in self._rules:
            if pattern.search(noun):
                return pattern.sub(new, noun, count=1)
        return ""

    def _the(self, case: str, noun: Noun, number: str) -> str:
        """Returns the definite article of a noun, empty if there is none."""
        return self._by_form(self.words["the"], case, noun, number)

    def _adjective(self, stem: str, case: str, noun: Noun, number: str) -> str:
        """Declines an adjective as after the definite article."""
        if stem in self._undeclined:
            return stem
        ending = self._by_form(self.words["adjective_endings"], case, noun, number)
        return stem + (ending[1:] if ending and stem.endswith(ending[0]) else ending)

    @staticmethod
    def _by_form(table: dict[str, str], case: str, noun: Noun, number: str) -> str:
        for key in (f"{case} {'many' if number == 'many' else noun.gender}", f"{case} {number}"):
            if key in table:
                return table[key]
        return table["*"]

    def attribute(self, word: str) -> str:
        """Returns the stem of the adjective for an attribute; empty if the language has none."""
        return self.words["attributes"].get(word, word if self.words["unknown_nouns"] else "")

    def stands_first(self, word: str) -> bool:
        """Returns whether an attribute stands before colours."""
        return bool(self._before.search(word))

    def _entries(self) -> Iterator[tuple[str, str, Any]]:
        words = self.words
        for tag in ("indefinite", "other", "of", "and", "comma"):
            yield from ((phrase, tag, None) for phrase in words.get(tag, words.get(f"{tag}_words", ())))
        # The genders and numbers with which an article goes, in languages where it depends on them.
        for phrase in sorted({*words["definite"], *words["the"].values()}):
            keys = (key.split()[1] for key, article in words["the"].items() if article == phrase and key != "*")
            yield phrase, "definite", tuple(sorted(set(keys)))
        yield from ((phrase, "number", "all") for phrase in words["all_words"])
        yield from ((phrase, "number", 2) for phrase in words["both_words"])
        yield from ((phrase, "number", number) for phrase, number in words["numbers"].items())
        yield from ((str(number), "number", number) for number in range(2, 21))
        yield from ((phrase, "filler", None) for phrase in words["fillers"])
        yield from ((phrase, "lead", None) for phrase in words["leads"])
        clauses = words["clauses"]
        for phrase in dict.fromkeys(chain(*clauses.values())):
            yield phrase, "clause", None
        yield from ((phrase, "color tail", None) for phrase in words["color_tails"])
        for name, phrase in (*words["colors"].items(), *words["understood_colors"].items()):
            for stem in phrase:
                yield from ((form, "color", name) for form in self._declined(stem))
        for name, entry in words["sizes"].items():
            for stem in (*entry["say"], *entry["understand"]):
                yield from ((form, "size", name) for form in self._declined(stem))
        if words["unknown_nouns"]:
            yield from ((word, "word", word) for word in sorted(concepts().exclusive))
        for word, stem in words["attributes"].items():
            yield from ((form, "word", word) for form in self._declined(stem))
        for stem, number in words["ordinals"].items():
            yield from ((form, "ordinal", number) for form in self._declined(stem))
        yield from self._place_entries()
        for concept in self._listed:
            yield from self.noun_entries(concept)

    def _place_entries(self) -> Iterator[tuple[str, str, Any]]:
        words = self.words
        for name, entry in words["positions"].items():
            yield from (
                (phrase, "position", tuple(sorted(name.split()))) for phrase in (*entry["say"], *entry["understand"])
            )
            for stem in entry["before"]:
                yield from ((form, "before", tuple(sorted(name.split()))) for form in self._declined(stem))
        for by, entry in words["ranks"].items():
            for stem in (*entry["adjectives"], *entry.get("comparatives", ()), *entry["understood_adjectives"]):
                yield from ((form, "superlative", by) for form in self._declined(stem))
            yield from ((phrase, "rank", by) for phrase in (*entry["phrases"], *entry["understood_phrases"]))
            yield from ((phrase, "from", by) for phrase in (*entry["from"], *entry.get("understood_from", ())))
        for by, entry in words["ranks_to"].items():
            yield from ((phrase, "rank to", by) for phrase in (*entry["say"], *entry["understand"]))
        for name, entry in words["relations"].items():
            yield from ((phrase, "relation", name) for phrase in (*entry["say"], *entry["understand"]))
        yield from ((phrase, "between", None) for phrase in (*words["between"]["say"], *words["between"]["understand"]))

    def _declined(self, stem: str) -> set[str]:
        if stem in self._undeclined:
            return {stem}
        endings = self.words["understood_endings"]
        return {stem + (end[1:] if end and stem.endswith(end[0]) else end) for end in endings}


def trie(lexicon: Mapping[tuple[str, ...], Sequence]) -> dict[str, Any]:
    """Arranges a lexicon as a tree: a node maps the next token to a node, and '' to the entries of its own phrase."""
    root: dict[str, Any] = {}
    for phrase, entries in lexicon.items():
        if phrase:
            node = root
            for token in phrase:
                node = node.setdefault(token, {})
            node[""] = tuple(entries)
    return root


def tokens(text: str) -> tuple[str, ...]:
    """Splits a text into words and commas, in lower case.

    >>> tokens("The dog, that's red.")
    ('the', 'dog', ',', "that's", 'red')
    """
    return tuple(_TOKEN.findall(text.lower().replace("\u2019", "'")))


@cache
def language(name: str) -> Language:
    """Returns a language; its file is read once.

    Raises:
        ValueError: If there is no file of its words.
    """
    return Language(name)
