"""Converts the meaning of an expression to a sentence of one language, with varied words."""

from typing import Any, NamedTuple

from sos_mm.referring.concepts import concepts
from sos_mm.referring.language import Language, Noun
from sos_mm.referring.meaning import Phrase


class Worded(NamedTuple):
    """A sentence.

    Attributes:
        text: The sentence.
        head: Half-open character span of the noun phrase that names the targets.
    """

    text: str
    head: tuple[int, int]


class Unsayable(Exception):  # noqa: N818 - not an error, but an answer
    """The language's file has no words for a meaning."""


class Wording:
    """Converts meanings to sentences of one language.

    Equal picks choose equal templates, so that two meanings with a single difference give sentences with a single
    difference.

    Args:
        language: The language.
        picks: Integers of at least 0 that choose among synonyms, used one after the other.
    """

    def __init__(self, language: Language, picks: list[int]):
        self._language, self._words, self._picks = language, language.words, picks
        self._next, self._of_two = 0, False

    def say(self, meaning: Phrase, of_two: bool = False) -> Worded:
        """Converts a meaning to a sentence.

        Args:
            meaning: The noun phrase; see `sos_mm.referring.meaning`.
            of_two: Whether a rank is among two objects, so that a comparative is used: "the larger dog".

        Raises:
            Unsayable: If the language has no words for it.
        """
        self._next, self._of_two = 0, of_two
        text, head = self._phrase(meaning, "nom", "quantity")
        if not text:
            raise Unsayable
        return Worded(text, head)

    def _pick(self, choices: list[Any]) -> Any:
        if not choices:
            raise Unsayable
        pick = self._picks[self._next % len(self._picks)]
        self._next += 1
        return choices[pick % len(choices)]

    def _phrase(self, meaning: Phrase, case: str, role: str) -> tuple[str, tuple[int, int]]:
        """Returns the text of a noun phrase, and the character span of its head."""
        noun = self._pick_noun(meaning)
        number = self._number(meaning, noun)
        form = noun.many if number == "many" else (noun.dative or noun.one) if case == "dat" else noun.one
        if not form:
            raise Unsayable
        ranked, behind = self._rank(meaning, case, noun, number)
        adjectives = self._adjectives(meaning, case, noun, number)
        head = " ".join([*adjectives, form])
        behind += self._behind(meaning, number)
        template = self._quantity(meaning, role, noun)
        text = template.replace("{the}", self._language.the(case, noun, number))
        start = text.index("{np}") + len(ranked) + bool(ranked)
        inside = " ".join(filter(None, [ranked, head, *behind]))
        return text.replace("{np}", inside), (start, start + len(head))

    def _pick_noun(self, meaning: Phrase) -> Noun:
        nouns = self._language.nouns(meaning["head"])
        # The usual word twice as often as each other.
        return self._pick([nouns[0], *nouns] if nouns else [])

    def _number(self, meaning: Phrase, noun: Noun) -> str:
        number = meaning["number"]
        if number == "unmarked":
            if not noun.unmarked:
                raise Unsayable
            return "many"
        if number == "one" and noun.unmarked and "rank" not in meaning:
            raise Unsayable
        if number == "all" and not noun.many:
            raise Unsayable
        return "one" if number in ("one", "some") else "many"

    def _quantity(self, meaning: Phrase, role: str, noun: Noun) -> str:
        quantity = self._words["quantity"]
        if role == "landmark":
            return self._pick(quantity["landmark"])
        if meaning["number"] == "count":
            count = meaning["count"]
            if count not in self._language.numbers:
                raise Unsayable
            key = "several_by_rank" if "rank" in meaning else "two" if count == 2 else "count"
            return self._pick(quantity[key]).replace("{n}", self._language.numbers[count])
        if meaning["number"] == "unmarked":
            # The number is open, so no word may express it.
            return quantity["one"][0]
        if meaning["number"] == "all":
            return self._pick(quantity["unmarked" if noun.unmarked else "all"])
        return self._pick(quantity["one"])

    def _adjectives(self, meaning: Phrase, case: str, noun: Noun, number: str) -> list[str]:
        first: list[str] = []
        words: list[str] = []
        colors: list[str] = []
        last: list[str] = []
        for kind, value in meaning.get("attributes", ()):
            if kind == "size":
                # "Little bread" would be an amount.
                stems = self._words["sizes"][value]["say"]
                first.append(self._pick(stems if noun.many else stems[:1]))
            elif kind == "color":
                colors.append(self._pick(self._words["colors"].get(value, [])))
            else:
                stem = self._language.attribute(value)
                if not stem:
                    raise Unsayable
                (words if self._language.stands_first(value) else last).append(stem)
        return [self._language.adjective(stem, case, noun, number) for stem in (*first, *words, *colors, *last)]

    def _rank(self, meaning: Phrase, case: str, noun: Noun, number: str) -> tuple[str, list[str]]:
        """Returns the words of a rank before the adjectives, and the phrases after the noun."""
        rank = meaning.get("rank")
        if rank is None:
            return "", []
        if "to" in rank:
            if rank["n"] > 1:
                raise Unsayable
            words = self._pick(self._words["ranks_to"][rank["by"]]["say"])
            return "", [f"{words} {self._landmark(rank['to'][0])}"]
        entry = self._words["ranks"][rank["by"]]
        if rank["n"] > 1:
            ordinals = self._words["said_ordinals"]
            if rank["n"] > len(ordinals):
                raise Unsayable
            ordinal = self._language.adjective(ordinals[rank["n"] - 1], case, noun, number)
            return ordinal, [self._pick(entry["from"])]
        two = self._of_two and meaning["number"] == "one"
        adjectives = entry.get("comparatives", entry["adjectives"]) if two else entry["adjectives"]
        choices = [("before", each) for each in adjectives] + [("behind", each) for each in entry["phrases"]]
        place, words = self._pick(choices)
        if place == "behind":
            return "", [words]
        return self._language.adjective(words, case, noun, number), []

    def _behind(self, meaning: Phrase, number: str) -> list[str]:
        parts = []
        if "positions" in meaning:
            parts.append(self._pick(self._language.positions.get(tuple(meaning["positions"]), [])))
        for relation in meaning.get("relations", ()):
            parts.append(self._relation(relation))
        if parts:
            # "that is" would express the number.
            clauses = [] if meaning["number"] == "unmarked" else self._words["clauses"][_clause_of(meaning, number)]
            clause = self._pick(["", "", "", *clauses])
            parts[0] = f"{clause} {parts[0]}".strip()
        if len(parts) > 1:
            # "that is on the left and above the cat": without "and", the last part could refer to the landmark.
            parts[-1] = f"{self._words['and'][0]} {parts[-1]}"
        return parts

    def _relation(self, relation: dict[str, Any]) -> str:
        if relation["relation"] == "between":
            words = self._pick(self._words["between"]["say"])
            one, other = (self._landmark(each) for each in relation["to"])
            return f"{words} {one} {self._words['and'][0]} {other}"
        words = self._pick(self._words["relations"].get(relation["relation"], {}).get("say", []))
        return f"{words} {self._landmark(relation['to'][0])}"

    def _landmark(self, meaning: Phrase) -> str:
        return self._phrase(meaning, self._words["landmark_case"], "landmark")[0]


def _clause_of(meaning: Phrase, number: str) -> str:
    """Returns the key of the clauses that go with a noun; "who is" is for people."""
    if concepts().is_a(meaning["head"], "person"):
        return "one person" if number == "one" else "many people"
    return number
