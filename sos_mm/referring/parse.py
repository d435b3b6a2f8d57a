"""Parses sentences into meanings, with the same file of words that `sos_mm.referring.wording` writes with.

An ambiguous sentence gives all its readings. A sentence with any part that is not understood gives none.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sos_mm.referring.language import Language, by_first, language, tokens
from sos_mm.referring.meaning import Phrase

# Longest sentence that is parsed, in tokens and in characters.
_LONGEST = 60
_MOST_CHARACTERS = 600
_MOST_READINGS = 64
_DEEPEST = 2


class Parser:
    """Parses sentences of one language.

    Args:
        language: The language.
        categories: Concepts whose names are understood in addition to those in the language's file.
        attributes: Words that are understood as attributes in addition to those in the file.
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
        """Returns all readings of a sentence as noun phrases; empty if it is not understood."""
        if len(text) > _MOST_CHARACTERS:
            return ()
        words = tokens(text)
        if not words or len(words) > _LONGEST:
            return ()
        return _Sentence(words, self._matches(words)).readings()

    def _matches(self, words: tuple[str, ...]) -> list[dict[str, list[tuple[int, Any]]]]:
        """Finds, for each token index and tag, the ends and values of the lexicon's phrases that start there."""
        found = []
        following = (*words[1:], "")
        for start, (word, second) in enumerate(zip(words, following, strict=True)):
            here: dict[str, list[tuple[int, Any]]] = {}
            for table in self._by_first:
                phrases = table.get(word)
                if phrases is not None:
                    for key in (second, "") if second else ("",):
                        for phrase, entries in phrases.get(key, ()):
                            end = start + len(phrase)
                            if words[start:end] == phrase:
                                for tag, value in entries:
                                    here.setdefault(tag, []).append((end, value))
            found.append(here)
        found.append({})
        return found


class _Sentence:
    """Parses one sentence; a method yields (end, result) for each way to parse on from a token index ``start``."""

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
                    # The complete sentence "a dog on the left" means the only one that there is.
                    phrase = {**phrase, "number": "one"}
                    found.setdefault(repr(phrase), phrase)
        return tuple(found.values())

    def _phrases(self, start: int, depth: int) -> list[tuple[int, Phrase]]:
        """Returns the noun phrases that begin at a token index."""
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
        """Parses determiners, the words before a noun, and the noun."""
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
            for stop, _ in self._matches[end].get("of", ()):
                yield from self._of_several(stop, draft.with_rank(by, 1))
        for end, number in here.get("ordinal", ()):
            yield from self._adjectives(end, draft.with_ordinal(number), depth + 1)

    def _counted(self, start: int, draft: "_Draft | None", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        """Parses adjectives after a superlative, with an optional number: "the leftmost two dogs"."""
        if draft is None:
            return
        yield from self._adjectives(start, draft, depth + 1)
        for end, value in self._matches[start].get("number", ()):
            changed = draft.with_number(value)
            if changed is not None and value != "all":
                yield from self._adjectives(end, changed, depth + 1)

    def _of_several(self, start: int, draft: "_Draft | None") -> Iterator[tuple[int, "_Draft"]]:
        """Parses "of the three dogs" after "the largest"; the number is dropped, as the meaning does not need it."""
        for end, several in self._determiners(start, _Draft(), 0):
            plain = not (several.rank or several.ordinal or several.positions)
            if draft is not None and plain and several.form == "many" and several.determiner != "indefinite":
                yield end, draft._replace(head=several.head, form="one", attributes=several.attributes)

    def _joined(self, start: int) -> int:
        """Returns the token index after an optional comma between adjectives."""
        return next((end for end, _ in self._matches[start].get("comma", ())), start)

    def _behind(self, start: int, draft: "_Draft", depth: int) -> Iterator[tuple[int, "_Draft"]]:
        """Parses what follows a noun, with each addition taken or not."""
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
        """Returns the token indices that are reached by skipping up to four phrases without a meaning of their own."""
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
            for place in (start, *(end for end, _ in here.get("definite", ()))):
                for end, by in self._matches[place].get("superlative", ()):
                    yield end, draft.with_rank(by, 1)
        if depth < _DEEPEST:
            yield from self._landmarks(here, draft, depth)

    def _closes_clause(self, start: int) -> bool:
        """Returns whether the phrase before a token index opens a clause, such as "that is" in "that is red"."""
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
                if one["number"] == "all" or one.get("count") == 2:
                    yield middle, draft.with_relation("between", [one])
                for second, _ in self._matches[middle].get("and", ()):
                    for stop, other in self._phrases(second, depth + 1):
                        yield stop, draft.with_relation("between", [one, other])


class _Draft(NamedTuple):
    """A partly parsed noun phrase; methods return an extended copy, or None if the words do not fit together."""

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
        """Returns the complete noun phrase; None if its words do not fit together."""
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
    """Returns the parser of a language that also knows some categories and attributes; cached by its arguments."""
    return Parser(language(language_name), categories, attributes)
