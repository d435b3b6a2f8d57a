"""From a sentence to what it means, by the same file of words that sentences are written with.

A sentence that can be read in several ways gives all of them. What is not understood to its last word gives none:
nothing is guessed.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sos_mm.referring.language import Language, by_first, language, tokens
from sos_mm.referring.meaning import Phrase

# No sentence that can be understood is longer.
_LONGEST = 60
_MOST_CHARACTERS = 600
_MOST_READINGS = 64
_DEEPEST = 2


class Parser:
    """Reads sentences of one language.

    Args:
        language: The language.
        categories: Concepts whose names are understood beside those of the language's file.
        attributes: Words that are understood as attributes beside those of the file.
    """

    def __init__(self, language: Language, categories: frozenset[str], attributes: frozenset[str]):
        lexicon = language.lexicon
        more: dict[tuple[str, ...], list[tuple[str, Any]]] = {}
        for concept in sorted(categories):
            if not language.has_noun(concept):
                for form, tag, value in language.noun_entries(concept):
                    more.setdefault(tokens(form), []).append((tag, value))
        if language.words["unknown_nouns"]:
            for word in sorted(attributes):
                if not any(tag in ("word", "color", "size") for tag, _ in lexicon.get(tokens(word), ())):
                    more.setdefault(tokens(word), []).append(("word", word))
        self._by_first = (language.by_first, by_first(more))

    def readings(self, text: str) -> tuple[Phrase, ...]:
        """Everything that a sentence can mean; empty if it is not understood."""
        if len(text) > _MOST_CHARACTERS:
            return ()
        words = tokens(text)
        if not words or len(words) > _LONGEST:
            return ()
        return _Sentence(words, self._matches(words)).readings()

    def _matches(self, words: tuple[str, ...]) -> list[dict[str, list[tuple[int, Any]]]]:
        """For each place and tag, where phrases of that tag end and what they mean, longest first."""
        found = []
        for start, word in enumerate(words):
            here: dict[str, list[tuple[int, Any]]] = {}
            for table in self._by_first:
                for phrase, entries in table.get(word, ()):
                    end = start + len(phrase)
                    if words[start:end] == phrase:
                        for tag, value in entries:
                            here.setdefault(tag, []).append((end, value))
            found.append(here)
        found.append({})
        return found


class _Sentence:
    """One sentence on its way; a method yields (end, what was read) for each way to read on from a place."""

    def __init__(self, words: tuple[str, ...], matches: list[dict[str, list[tuple[int, Any]]]]):
        self._length, self._matches = len(words), matches
        self._known: dict[tuple[int, int], list[tuple[int, Phrase]]] = {}

    def readings(self) -> tuple[Phrase, ...]:
        starts = [0, *(end for end, _ in self._matches[0].get("lead", ()))]
        found: dict[str, Phrase] = {}
        for start in starts:
            for end, phrase in self._phrases(start, 0):
                if end == self._length and phrase["number"] != "some":
                    found.setdefault(repr(phrase), phrase)
                elif end == self._length and phrase["number"] == "some":
                    # "A dog on the left" as a whole sentence means the one that there is.
                    phrase = {**phrase, "number": "one"}
                    found.setdefault(repr(phrase), phrase)
        return tuple(found.values())

    def _phrases(self, start: int, depth: int) -> list[tuple[int, Phrase]]:
        """Noun phrases from a place."""
        key = start, depth
        if key not in self._known:
            self._known[key] = []
            seen: dict[str, tuple[int, Phrase]] = {}
            for end, draft in self._heads(start):
                for stop, phrase in self._behind(end, draft, depth):
                    finished = phrase.finish()
                    if finished is not None:
                        seen.setdefault(f"{stop}{finished!r}", (stop, finished))
                if len(seen) > _MOST_READINGS:
                    break
            self._known[key] = list(seen.values())
        return self._known[key]

    def _heads(self, start: int) -> Iterator[tuple[int, "_Draft"]]:
        """Determiners, what stands before a noun, and the noun."""
        yield from self._determiners(start, _Draft(), 0)

    def _determiners(self, start: int, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        yield from self._adjectives(start, draft, 0)
        if depth == 4:
            return
        here = self._matches[start]
        for tag in ("definite", "indefinite", "other", "of"):
            for end, genders in here.get(tag, ()):
                if tag != "of" or depth:
                    yield from self._determiners(end, draft.with_determiner(tag, genders), depth + 1)
        for end, value in here.get("number", ()):
            changed = draft.with_number(value)
            if changed is not None:
                yield from self._determiners(end, changed, depth + 1)

    def _adjectives(self, start: int, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        here = self._matches[start]
        for end, noun in here.get("noun", ()):
            yield end, draft.with_noun(*noun)
        if depth == 6:
            return
        for tag in ("color", "word", "size"):
            for end, value in here.get(tag, ()):
                yield from self._adjectives(self._joined(end), draft.with_attribute(tag, value), depth + 1)
        for end, value in here.get("before", ()):
            yield from self._adjectives(end, draft.with_positions(value), depth + 1)
        for end, by in here.get("superlative", ()):
            yield from self._counted(end, draft.with_rank(by, 1), depth)
        for end, number in here.get("ordinal", ()):
            yield from self._adjectives(end, draft.with_ordinal(number), depth + 1)

    def _counted(self, start: int, draft: "_Draft | None", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        """Adjectives behind a superlative, perhaps a number first: "the leftmost two dogs"."""
        if draft is None:
            return
        yield from self._adjectives(start, draft, depth + 1)
        for end, value in self._matches[start].get("number", ()):
            changed = draft.with_number(value)
            if changed is not None and value != "all":
                yield from self._adjectives(end, changed, depth + 1)

    def _joined(self, start: int) -> int:
        """Behind a comma between adjectives."""
        return next((end for end, _ in self._matches[start].get("comma", ())), start)

    def _behind(self, start: int, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        """What stands behind a noun, each addition taken or not."""
        yield start, draft
        for place in self._skipped(start):
            for end, changed in self._additions(place, draft, depth):
                if changed is not None:
                    yield from self._behind(end, changed, depth)
        # Fillers at the end belong to nothing.
        for end, _ in self._matches[start].get("filler", ()):
            yield from self._behind(end, draft, depth)
        for end, _ in self._matches[start].get("clause", ()):
            if end == self._length:
                yield end, draft

    def _skipped(self, start: int) -> Iterable[int]:
        """Places that are reached from one by words without a meaning of their own, in any order, up to four."""
        reached, front = {start}, {start}
        for _ in range(4):
            front = {
                end
                for place in front
                for tag in ("clause", "filler", "comma", "and")
                for end, _ in self._matches[place].get(tag, ())
            } - reached
            if not front:
                break
            reached |= front
        return sorted(reached)

    def _additions(self, start: int, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft | None"]]:
        here = self._matches[start]
        for end, value in here.get("position", ()):
            yield end, draft.with_positions(value)
        for end, by in here.get("rank", ()):
            yield end, draft.with_rank(by, 1)
        for end, by in here.get("from", ()):
            yield end, draft.with_direction(by)
        if self._closes_clause(start):
            for tag in ("color", "word"):
                for end, value in here.get(tag, ()):
                    tail = next((stop for stop, _ in self._matches[end].get("color tail", ())), end)
                    yield tail, draft.with_attribute(tag, value)
            for end, by in here.get("superlative", ()):
                yield end, draft.with_rank(by, 1)
        if depth < _DEEPEST:
            yield from self._landmarks(here, draft, depth)

    def _closes_clause(self, start: int) -> bool:
        """Whether the word before a place is one of a clause: "that is red"."""
        return any(
            end == start
            for place in range(max(start - 3, 0), start)
            for tag in ("clause", "and", "comma")
            for end, _ in self._matches[place].get(tag, ())
        )

    def _landmarks(self, here: dict, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft | None"]]:
        for end, name in here.get("relation", ()):
            for stop, phrase in self._phrases(end, depth + 1):
                yield stop, draft.with_relation(name, [phrase])
        for end, by in here.get("rank to", ()):
            for stop, phrase in self._phrases(end, depth + 1):
                yield stop, draft.with_rank(by, 1, phrase)
        for end, _ in here.get("between", ()):
            for middle, one in self._phrases(end, depth + 1):
                for second, _ in self._matches[middle].get("and", ()):
                    for stop, other in self._phrases(second, depth + 1):
                        yield stop, draft.with_relation("between", [one, other])


class _Draft(NamedTuple):
    """A noun phrase as far as it was read; a method gives another one, or None where the words do not go together."""

    determiner: str = ""
    genders: tuple = ()
    number: Any = None
    form: str = ""
    head: str = ""
    attributes: tuple = ()
    positions: tuple = ()
    relations: tuple = ()
    rank: tuple = ()
    ordinal: int = 0

    def with_determiner(self, tag: str, genders: tuple | None) -> "_Draft":
        if tag in ("of", "other") or self.determiner == "definite":
            return self
        return self._replace(determiner=tag, genders=genders or ())

    def with_number(self, value: Any) -> "_Draft | None":
        if self.number not in (None, "all") or (self.number == "all" and value == "all"):
            return None
        return self._replace(number=value)

    def with_noun(self, concept: str, form: str, gender: str) -> "_Draft":
        if form == "unmarked" and (("many" in self.genders) != (gender in self.genders)):
            form = "many" if "many" in self.genders else "one"
        return self._replace(head=concept, form=form)

    def with_attribute(self, kind: str, value: str) -> "_Draft":
        return self._replace(attributes=(*self.attributes, (kind, value)))

    def with_positions(self, names: tuple[str, ...]) -> "_Draft":
        return self._replace(positions=(*self.positions, *names))

    def with_relation(self, name: str, to: list[Phrase]) -> "_Draft":
        return self._replace(relations=(*self.relations, (name, to)))

    def with_rank(self, by: str, n: int, to: Phrase | None = None) -> "_Draft | None":
        return None if self.rank else self._replace(rank=(by, n, to))

    def with_ordinal(self, n: int) -> "_Draft":
        return self._replace(ordinal=n)

    def with_direction(self, by: str) -> "_Draft | None":
        ranked = self.with_rank(by, self.ordinal) if self.ordinal else None
        return None if ranked is None else ranked._replace(ordinal=0)

    def finish(self) -> Phrase | None:
        """The noun phrase; None where its words do not go together."""
        number = self._number()
        if number is None or self.ordinal:
            return None
        phrase: Phrase = {"number": number} if isinstance(number, str) else {"number": "count", "count": number}
        phrase["head"] = self.head
        if self.attributes:
            phrase["attributes"] = [list(each) for each in sorted(set(self.attributes))]
        if self.positions:
            phrase["positions"] = sorted(set(self.positions))
        if self.relations:
            phrase["relations"] = [{"relation": name, "to": to} for name, to in self.relations]
        if self.rank:
            by, n, to = self.rank
            # "The largest dogs" does not say how many; "the second two dogs" says nothing.
            if number in ("all", "unmarked") or (not isinstance(number, str) and n != 1):
                return None
            phrase["rank"] = {"by": by, "n": n, **({"to": [to]} if to is not None else {})}
        return phrase

    def _number(self) -> str | int | None:
        if isinstance(self.number, int):
            return self.number if self.form != "one" else None
        if self.number == "all":
            return "all"
        if self.form == "many":
            return "all" if self.determiner != "indefinite" else None
        if self.form == "unmarked" and not self.rank and self.determiner != "indefinite":
            return "unmarked"
        return "some" if self.determiner == "indefinite" else "one"


@lru_cache(maxsize=256)
def parser(
    language_name: str, categories: frozenset[str] = frozenset(), attributes: frozenset[str] = frozenset()
) -> Parser:
    """The parser of a language that also knows these categories and attributes; made once for each set of them."""
    return Parser(language(language_name), categories, attributes)
