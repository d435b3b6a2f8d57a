"""Parses sentences into meanings, with the same file of words that `sos_mm.referring.wording` writes with.

An ambiguous sentence gives all its readings. A sentence with any part that is not understood gives none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from sos_mm.referring.language import Language, language, tokens, trie
from sos_mm.referring.meaning import Phrase
from sos_mm.referring.templates import Lexicon, Slot, Template, abstracted, filled, slots_of

# Longest sentence that is parsed, in tokens and in characters.
_LONGEST = 60
_MOST_CHARACTERS = 600
# Most readings of a phrase, and most ways that are tried to parse it.
_MOST_READINGS, _MOST_WAYS = 64, 4096
_DEEPEST = 2
# Most determiners and numbers before a noun, most adjectives there, and most phrases without a meaning of their own
# behind it: no sentence has more, and sentences of such words alone are not tried in all ways.
_MOST_DETERMINERS, _MOST_ADJECTIVES, _MOST_SKIPPED = 4, 6, 4
_DETERMINERS = ("definite", "indefinite", "other", "of")
_SKIPPED = ("clause", "filler", "comma", "and")
# What may open a clause, and its most tokens.
_CLAUSES, _LONGEST_CLAUSE = ("clause", "and", "comma"), 3
# What may follow a noun with a meaning of its own.
_ADDED = ("position", "rank", "from")
_LANDMARKED = ("relation", "rank to", "between")
# The lexicon's phrases that start at a token index: by tag, their ends and values.
Matches = dict[str, list[tuple[int, Any]]]
Draft = dict[str, Any]
# What may follow a noun: its tag, or 'attribute', and its value.
Addition = tuple[str, Any]


class Parser:
    """Parses sentences of one language.

    Args:
        language: The language.
        categories: Concepts whose names are understood in addition to those in the language's file.
        attributes: Words that are understood as attributes in addition to those in the file.
    """

    def __init__(self, language: Language, categories: frozenset[str], attributes: frozenset[str]):
        more = {phrase: [*entries] for phrase, entries in _unlisted_nouns(language.name, categories).items()}
        for word in sorted(attributes):
            phrase = _unlisted_attribute(language.name, word)
            if phrase:
                more.setdefault(phrase, []).append(("word", word))
        self._general, used = _listed_slots(language.name)
        self._own: dict[str, Slot | None] = {word: slot for word, slot in slots_of(more).items() if word not in used}
        rest = {phrase: tuple(entries) for phrase, entries in more.items() if phrase[0] not in self._own}
        self._own.update((token, None) for phrase in rest for token in phrase)
        self._parse = _template_parser(language.name, tuple(rest.items()))

    def readings(self, text: str) -> tuple[Phrase, ...]:
        """Returns all readings of a sentence as noun phrases; empty if it is not understood."""
        if len(text) > _MOST_CHARACTERS:
            return ()
        words = tokens(text)
        if not words or len(words) > _LONGEST:
            return ()
        template, values = abstracted(words, self._own, self._general)
        return tuple([filled(each, values) for each in self._parse(template)])


@cache
def _listed_slots(language_name: str) -> tuple[dict[str, Slot], frozenset[str]]:
    """Returns the slots of a language's lexicon, and all its tokens."""
    lexicon = language(language_name).lexicon
    return slots_of(lexicon), frozenset(chain.from_iterable(lexicon))


@lru_cache(maxsize=64)
def _unlisted_nouns(language_name: str, categories: frozenset[str]) -> Lexicon:
    """Returns the lexicon of the categories that the language's file does not list."""
    found, spoken = defaultdict(list), language(language_name)
    for concept in sorted(categories):
        if not spoken.has_noun(concept):
            for form, tag, value in spoken.noun_entries(concept):
                found[tokens(form)].append((tag, value))
    found.pop((), None)
    return found


@lru_cache(maxsize=2**14)
def _unlisted_attribute(language_name: str, word: str) -> tuple[str, ...]:
    """Returns the tokens of an attribute that the language's file does not list; empty if it does."""
    phrase, spoken = tokens(word), language(language_name)
    listed = any(tag in ("word", "color", "size") for tag, _ in spoken.lexicon.get(phrase, ()))
    return phrase if spoken.words["unknown_nouns"] and not listed else ()


@lru_cache(maxsize=64)
def _template_parser(
    language_name: str, more: tuple[tuple[tuple[str, ...], tuple], ...]
) -> Callable[[Template], tuple[Phrase, ...]]:
    """Returns a function that parses templates with the lexicon of a language and with more; it caches."""
    tries = (language(language_name).trie, trie({form: list(entries) for form, entries in more}))

    def parse(template: Template) -> tuple[Phrase, ...]:
        matches = [_matches(tries, template, start) for start in range(len(template))]
        return _Sentence([*matches, {}]).readings()

    return lru_cache(maxsize=2**14)(parse)


def _matches(tries: Sequence[dict[str, Any]], template: Template, start: int) -> Matches:
    """Finds the lexicon's phrases that start at a token index."""
    first = template[start]
    if isinstance(first, tuple):
        tag, placeholder, form = first
        return {tag: [(start + 1, (placeholder, *form) if form else placeholder)]}
    found: Matches = {}
    last = len(template)
    for root in tries:
        node, end = root.get(first), start + 1
        while node is not None:
            if "" in node:
                for tag, value in node[""]:
                    if tag in found:
                        found[tag].append((end, value))
                    else:
                        found[tag] = [(end, value)]
            node = node.get(template[end]) if end < last else None
            end += 1
    return found


class _Sentence:
    """Parses one sentence; a method returns (end, result) for each way to parse on from a token index ``start``.

    Args:
        matches: For each token index and the end, the lexicon's phrases that start there.
    """

    def __init__(self, matches: list[Matches]):
        self._length, self._matches = len(matches) - 1, matches
        self._known: dict[tuple[int, int], list[tuple[int, Phrase]]] = {}
        self._known_additions: dict[tuple[int, int], list[tuple[int, Addition]]] = {}
        # For each token index, those reached by skipping one phrase without a meaning of its own.
        self._skips: dict[int, set[int]] = {}
        # Token indices after a phrase that opens a clause, such as "that is" in "that is red".
        self._in_clause: set[int] = set()
        for start, here in enumerate(matches):
            if not here.keys().isdisjoint(_SKIPPED):
                self._skips[start] = {end for tag in _SKIPPED for end, _ in here.get(tag, ())}
                ends = (end for tag in _CLAUSES for end, _ in here.get(tag, ()))
                self._in_clause.update(end for end in ends if end <= start + _LONGEST_CLAUSE)

    def readings(self) -> tuple[Phrase, ...]:
        found: list[Phrase] = []
        for start in (0, *(end for end, _ in self._matches[0].get("lead", ()))):
            for end, phrase in self._phrases(start, 0):
                # The complete sentence "a dog on the left" means the only one that there is.
                phrase = {**phrase, "number": "one"} if phrase["number"] == "some" else phrase
                if end == self._length and phrase not in found:
                    found.append(phrase)
        return tuple(found)

    def _phrases(self, start: int, depth: int) -> list[tuple[int, Phrase]]:
        """Returns the noun phrases that begin at a token index; of complete sentences only those up to the end."""
        key = start, depth
        if key not in self._known:
            found = self._known[key] = []
            ways = 0
            for head_end, draft in self._determiners(start, _EMPTY, 0):
                for end, changed in self._behind(head_end, draft, depth):
                    ways += 1
                    phrase = None if depth == 0 and end < self._length else _finished(changed)
                    if phrase is not None and (end, phrase) not in found:
                        found.append((end, phrase))
                    if len(found) > _MOST_READINGS or ways > _MOST_WAYS:
                        return found
        return self._known[key]

    def _determiners(self, start: int, draft: Draft, depth: int) -> list[tuple[int, Draft]]:
        """Parses determiners, the words before a noun, and the noun."""
        found = self._adjectives(start, draft, 0)
        if depth == _MOST_DETERMINERS:
            return found
        here = self._matches[start]
        for tag in _DETERMINERS:
            if tag in here and (tag != "of" or depth):
                for end, genders in here[tag]:
                    found += self._determiners(end, _with_determiner(draft, tag, genders), depth + 1)
        if "number" in here:
            for end, value in here["number"]:
                changed = _with_number(draft, value)
                if changed is not None:
                    found += self._determiners(end, changed, depth + 1)
        return found

    def _adjectives(self, start: int, draft: Draft, depth: int) -> list[tuple[int, Draft]]:
        found: list[tuple[int, Draft]] = []
        here = self._matches[start]
        if "noun" in here:
            found += [(end, _with_noun(draft, *noun)) for end, noun in here["noun"]]
        if depth == _MOST_ADJECTIVES:
            return found
        for tag in ("color", "word", "size"):
            if tag in here:
                for end, value in here[tag]:
                    changed = {**draft, "attributes": (*draft["attributes"], (tag, value))}
                    found += self._adjectives(self._joined(end), changed, depth + 1)
        if "before" in here:
            for end, names in here["before"]:
                changed = {**draft, "positions": (*draft["positions"], *names)}
                found += self._adjectives(end, changed, depth + 1)
        if "superlative" in here and draft["rank"] is None:
            for end, by in here["superlative"]:
                found += self._ranked(end, {**draft, "rank": (by, 1, None)}, depth)
        if "ordinal" in here:
            for end, number in here["ordinal"]:
                found += self._adjectives(end, {**draft, "ordinal": number}, depth + 1)
        return found

    def _ranked(self, start: int, draft: Draft, depth: int) -> list[tuple[int, Draft]]:
        """Parses what follows a superlative: adjectives, with an optional number ("the leftmost two dogs"), or "of"."""
        found = self._adjectives(start, draft, depth + 1)
        here = self._matches[start]
        for end, value in here.get("number", ()):
            changed = _with_number(draft, value)
            if changed is not None and value != "all":
                found += self._adjectives(end, changed, depth + 1)
        for end, _ in here.get("of", ()):
            found += self._of_several(end, draft)
        return found

    def _of_several(self, start: int, draft: Draft) -> list[tuple[int, Draft]]:
        """Parses "of the three dogs" after "the largest"; the number is dropped, as the meaning does not need it."""
        found = []
        for end, several in self._determiners(start, _EMPTY, 0):
            plain = not (several["rank"] or several["ordinal"] or several["positions"])
            if plain and several["form"] == "many" and several["determiner"] != "indefinite":
                taken = {"head": several["head"], "form": "one", "attributes": several["attributes"]}
                found.append((end, {**draft, **taken}))
        return found

    def _joined(self, start: int) -> int:
        """Returns the token index after an optional comma between adjectives."""
        return next((end for end, _ in self._matches[start].get("comma", ())), start)

    def _behind(self, start: int, draft: Draft, depth: int) -> Iterator[tuple[int, Draft]]:
        """Parses what follows a noun, with each addition taken or not."""
        yield start, draft
        if start == self._length:
            return
        here = self._matches[start]
        for index in self._skipped(start) if start in self._skips else (start,):
            for end, addition in self._additions(index, depth):
                changed = _with_addition(draft, *addition)
                if changed is not None:
                    yield from self._behind(end, changed, depth)
        # Fillers at the end belong to nothing.
        for end, _ in here.get("filler", ()):
            yield from self._behind(end, draft, depth)
        for end, _ in here.get("clause", ()):
            if end == self._length:
                yield end, draft

    def _skipped(self, start: int) -> Iterable[int]:
        """Returns the token indices that are reached by skipping some phrases without a meaning of their own."""
        reached, front = {start}, self._skips[start]
        for _ in range(_MOST_SKIPPED):
            if not front:
                break
            reached |= front
            front = {end for index in front for end in self._skips.get(index, ())} - reached
        return sorted(reached)

    def _additions(self, start: int, depth: int) -> list[tuple[int, Addition]]:
        """Returns what may be added to a noun phrase at a token index, each with its end."""
        key = start, depth
        if key not in self._known_additions:
            here = self._matches[start]
            found: list[tuple[int, Addition]] = []
            for tag in _ADDED:
                if tag in here:
                    found += [(end, (tag, value)) for end, value in here[tag]]
            if start in self._in_clause:
                found += self._predicates(start)
            if depth < _DEEPEST and not here.keys().isdisjoint(_LANDMARKED):
                found += self._landmarks(here, depth)
            self._known_additions[key] = found
        return self._known_additions[key]

    def _predicates(self, start: int) -> Iterator[tuple[int, Addition]]:
        """Yields attributes and superlatives after "that is"."""
        here = self._matches[start]
        for tag in ("color", "word"):
            for end, value in here.get(tag, ()):
                tail = next((stop for stop, _ in self._matches[end].get("color tail", ())), end)
                yield tail, ("attribute", (tag, value))
        for index in (start, *(end for end, _ in here.get("definite", ()))):
            for end, by in self._matches[index].get("superlative", ()):
                yield end, ("rank", by)

    def _landmarks(self, here: Matches, depth: int) -> Iterator[tuple[int, Addition]]:
        for end, name in here.get("relation", ()):
            for stop, phrase in self._phrases(end, depth + 1):
                yield stop, ("relation", (name, [phrase]))
        for end, by in here.get("rank to", ()):
            for stop, phrase in self._phrases(end, depth + 1):
                yield stop, ("rank to", (by, phrase))
        for end, _ in here.get("between", ()):
            for middle, one in self._phrases(end, depth + 1):
                if one["number"] == "all" or one.get("count") == 2:
                    yield middle, ("relation", ("between", [one]))
                for second, _ in self._matches[middle].get("and", ()):
                    for stop, other in self._phrases(second, depth + 1):
                        yield stop, ("relation", ("between", [one, other]))


# A partly parsed noun phrase. It is never changed: the functions below return a new one, or None if words do not fit.
_EMPTY: Draft = {
    "determiner": "", "genders": (), "number": None, "form": "", "head": "", "attributes": (), "positions": (),
    "relations": (), "rank": None, "ordinal": 0,
}  # fmt: skip


def _with_determiner(draft: Draft, tag: str, genders: tuple | None) -> Draft:
    if tag in ("of", "other") or draft["determiner"] == "definite":
        return draft
    return {**draft, "determiner": tag, "genders": genders or ()}


def _with_number(draft: Draft, value: Any) -> Draft | None:
    known = draft["number"]
    if known not in (None, "all") or (known == "all" and value == "all"):
        return None
    return {**draft, "number": value}


def _with_noun(draft: Draft, concept: str, form: str, gender: str) -> Draft:
    genders = draft["genders"]
    if form == "unmarked" and (("many" in genders) != (gender in genders)):
        form = "many" if "many" in genders else "one"
    return {**draft, "head": concept, "form": form}


def _with_addition(draft: Draft, tag: str, value: Any) -> Draft | None:
    if tag == "position":
        return {**draft, "positions": (*draft["positions"], *value)}
    if tag == "attribute":
        return {**draft, "attributes": (*draft["attributes"], value)}
    if tag == "relation":
        return {**draft, "relations": (*draft["relations"], value)}
    # What is left is a rank, of which there may be one; "second from the left" needs an ordinal.
    if draft["rank"] is not None or (tag == "from" and not draft["ordinal"]):
        return None
    if tag == "from":
        return {**draft, "rank": (value, draft["ordinal"], None), "ordinal": 0}
    by, to = value if tag == "rank to" else (value, None)
    return {**draft, "rank": (by, 1, to)}


def _finished(draft: Draft) -> Phrase | None:
    """Returns the complete noun phrase; None if its words do not fit together."""
    number = _number_of(draft)
    if number is None or draft["ordinal"]:
        return None
    phrase: Phrase = {"number": number} if isinstance(number, str) else {"number": "count", "count": number}
    phrase["head"] = draft["head"]
    if draft["attributes"]:
        phrase["attributes"] = [list(each) for each in sorted(set(draft["attributes"]))]
    if draft["positions"]:
        phrase["positions"] = sorted(set(draft["positions"]))
    if draft["relations"]:
        phrase["relations"] = [{"relation": name, "to": to} for name, to in draft["relations"]]
    if draft["rank"] is not None:
        by, n, to = draft["rank"]
        # "The largest dogs" does not say how many; "the second two dogs" says nothing.
        if number in ("all", "unmarked") or (not isinstance(number, str) and n != 1):
            return None
        phrase["rank"] = {"by": by, "n": n} if to is None else {"by": by, "n": n, "to": [to]}
    return phrase


def _number_of(draft: Draft) -> str | int | None:
    number, form, indefinite = draft["number"], draft["form"], draft["determiner"] == "indefinite"
    if isinstance(number, int):
        return number if form != "one" else None
    if number == "all":
        return "all"
    if form == "many":
        return None if indefinite else "all"
    if form == "unmarked" and draft["rank"] is None and not indefinite:
        return "unmarked"
    return "some" if indefinite else "one"


@lru_cache(maxsize=256)
def parser(
    language_name: str, categories: frozenset[str] = frozenset(), attributes: frozenset[str] = frozenset()
) -> Parser:
    """Returns the parser of a language that also knows some categories and attributes; cached by its arguments."""
    return Parser(language(language_name), categories, attributes)
