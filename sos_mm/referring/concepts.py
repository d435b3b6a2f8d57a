"""Relations between category names: synonyms, broader terms, similar categories, and exclusive attributes."""

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, lru_cache, partial
from pathlib import Path

from sos_mm.checks import require
from sos_mm.formats.phrases import category_key, category_phrase

OBJECT = "object"
_FILE = Path(__file__).parent / "words" / "broader.json"


class Concepts:
    """Category names, and which of them are synonyms, broader terms of each other, or easily confused.

    Args:
        broader: Names of narrower concepts by broader term.
        same: Synonyms by concept.
        similar: Pairs of concepts that a viewer may confuse.
        exclusive: Groups of attributes of which an object has at most one.
        wordnet: Whether to look up unknown names in WordNet; needs nltk and its corpus.

    Attributes:
        names: All broader terms and all names that have one.
        exclusive: The attributes that exclude an attribute, by attribute.

    Raises:
        ImportError: If WordNet is asked for and nltk is not installed.
        ValueError: If its corpus is not.
    """

    def __init__(self, broader, same, similar, exclusive, wordnet: bool = False):
        self._names = {other: name for name, others in same.items() for other in (name, *others)}
        parents = defaultdict(set)
        for term, names in broader.items():
            for name in names:
                parents[name].add(term)
        self._parents = dict(parents)
        self._terms = frozenset(broader)
        self.names = tuple(dict.fromkeys((*broader, *parents)))
        self._similar: dict[str, set[str]] = defaultdict(set)
        for one, other in similar:
            self._similar[one].add(other)
            self._similar[other].add(one)
        self.exclusive = {word: frozenset(group) - {word} for group in exclusive for word in group}
        self._wordnet = _wordnet() if wordnet else None
        self.ancestors = lru_cache(maxsize=2**14)(self._find_ancestors)
        self.siblings = lru_cache(maxsize=2**14)(self._find_siblings)
        self._similar_to = lru_cache(maxsize=2**14)(self._find_similar)
        self._words = lru_cache(maxsize=2**14)(_words)
        self._index = lru_cache(maxsize=64)(partial(_Index, self))
        self.is_a = lru_cache(maxsize=2**16)(self._is_a)
        self.concept = lru_cache(maxsize=2**14)(self._concept)
        self.all_concepts = lru_cache(maxsize=64)(self._all_concepts)
        self.confusable = lru_cache(maxsize=2**12)(self._confusable)
        self.answers = lru_cache(maxsize=2**12)(partial(Answers, self))
        self.broader_terms = lru_cache(maxsize=2**14)(self._broader_terms)

    def _concept(self, category: str) -> str:
        """Returns the concept of a category name: ``"cell phone"`` for ``"Cellular_telephone"``."""
        key = category_key(category)
        # LVIS distinguishes homonyms by an addition in brackets: "mouse (animal)".
        name = key if key in self._parents else category_key(category_phrase(category))
        return self._names.get(name, name)

    def _all_concepts(self, categories: frozenset[str]) -> frozenset[str]:
        """Returns the concepts of several category names."""
        return frozenset(map(self.concept, categories))

    def _confusable(self, concept: str, terms: frozenset[str]) -> frozenset[str]:
        """Returns the terms that an object of a concept has or may have, those that `is_among` does not deny."""
        # What `is_among` may not deny is looked up, since there may be thousands of terms.
        return frozenset(
            term for term in self._index(terms).near(concept) if self.is_among(concept, term, terms) is not False
        )

    def _broader_terms(self, concept: str) -> tuple[str, ...]:
        """Returns all broader terms of a concept, sorted, then 'object'."""
        return (*sorted(self.ancestors(concept)), OBJECT)

    def is_among(self, concept: str, term: str, vocabulary: frozenset[str]) -> bool | None:
        """Returns as `is_a`, for annotators who chose from a complete vocabulary.

        An unknown pair of names is then different, unless the names share a word.
        """
        answer = self.is_a(concept, term)
        if answer is None and term in vocabulary and not (self.knows(concept) and self.knows(term)):
            return False if self._words(concept).isdisjoint(self._words(term)) else None
        return answer

    def knows(self, concept: str) -> bool:
        """Returns whether a concept has a broader term or is one."""
        return concept in self._terms or bool(self.ancestors(concept))

    def _find_ancestors(self, concept: str) -> frozenset[str]:
        """Returns all broader terms of a concept, without 'object'."""
        direct = self._parents.get(concept)
        if direct is None:
            found = self._wordnet(concept, self._terms) if self._wordnet and concept not in self._terms else frozenset()
            direct = found
        everything = set(direct)
        for term in direct:
            everything |= self.ancestors(term)
        return frozenset(everything)

    def _find_siblings(self, concept: str) -> frozenset[str]:
        """Returns the other concepts with the same nearest broader terms."""
        own = frozenset(self._parents.get(concept, ())) - {OBJECT}
        return frozenset(name for name, terms in self._parents.items() if terms & own and name != concept)

    def _is_a(self, concept: str, term: str) -> bool | None:
        """Returns whether every object of a concept also is a ``term``; None if it may be, or looks similar.

        >>> concepts().is_a("dog", "animal"), concepts().is_a("dog", "car"), concepts().is_a("car", "taxi")
        (True, False, None)
        """
        if concept == term:
            return True
        above = self.ancestors(concept)
        if term == OBJECT:
            # A living thing is seldom called an object.
            return None if concept in ("person", "animal") or above & {"person", "animal"} else True
        if term in above:
            return True
        if concept in self.ancestors(term) or self._alike(concept, term):
            return None
        if self.knows(concept) and self.knows(term):
            return False
        # Nothing is known about unlisted names.
        return None

    def _alike(self, one: str, other: str) -> bool:
        return other in self._similar_to(one) or not self._words(one).isdisjoint(self._words(other))

    def _find_similar(self, concept: str) -> frozenset[str]:
        """Returns what a viewer may confuse with a concept or with one of its broader terms."""
        return frozenset().union(*(self._similar.get(name, ()) for name in (concept, *self.ancestors(concept))))


class _Index:
    """Finds which terms of a set are related to a concept, without a look at each.

    Args:
        concepts: The relations.
        terms: The terms.
    """

    def __init__(self, concepts: Concepts, terms: frozenset[str]):
        self._concepts, self._terms = concepts, terms
        self._by_word: dict[str, list[str]] = defaultdict(list)
        self._narrower: dict[str, list[str]] = defaultdict(list)
        for term in terms:
            for word in concepts._words(term):
                self._by_word[word].append(term)
            for broader in concepts.ancestors(term):
                self._narrower[broader].append(term)

    def near(self, concept: str) -> set[str]:
        """Returns the terms that may apply to an object of a concept: no others may."""
        above, similar = self._concepts.ancestors(concept), self._concepts._similar_to(concept)
        found = {concept, OBJECT, *above, *similar, *self._narrower.get(concept, ())} & self._terms
        return found.union(*(self._by_word.get(word, ()) for word in self._concepts._words(concept)))


def _words(name: str) -> frozenset[str]:
    return frozenset(name.split())


class Answers(dict):
    """Answers of `Concepts.is_among` for one term by concept, each found at its first use."""

    def __init__(self, concepts: Concepts, term: str, vocabulary: frozenset[str]):
        super().__init__()
        self._find = lambda concept: concepts.is_among(concept, term, vocabulary)

    def __missing__(self, concept: str) -> bool | None:
        answer = self[concept] = self._find(concept)
        return answer


@cache
def concepts(wordnet: bool = False) -> Concepts:
    """Returns the built-in concepts, optionally extended by WordNet; read once.

    Raises:
        ImportError: If nltk is needed and not installed.
        ValueError: If WordNet's corpus is needed and not installed.
    """
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    return Concepts(content["broader"], content["same"], content["similar"], content["exclusive"], wordnet)


def _wordnet():
    """Returns a function that selects the terms that WordNet has as broader terms of a name."""
    remedy = "`pip install sos_mm[wordnet]` and `python -m nltk.downloader wordnet`"
    wordnet = require("nltk.corpus", "`wordnet=True`", remedy).wordnet
    try:
        wordnet.ensure_loaded()
    except LookupError as error:
        raise ValueError("`wordnet=True` needs the corpus: run `python -m nltk.downloader wordnet`.") from error

    def broader(name: str, terms: Iterable[str]) -> frozenset[str]:
        senses = wordnet.synsets(name.replace(" ", "_"), pos="n")
        if not senses:
            return frozenset()
        above = senses[0].closure(lambda sense: sense.hypernyms())
        names = {name.replace("_", " ") for each in above for name in each.lemma_names()}
        return frozenset(terms) & names - {OBJECT}

    return broader
