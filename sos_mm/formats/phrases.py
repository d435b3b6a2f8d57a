"""Category names and the phrases for objects in captions."""

import re
from functools import lru_cache


def category_key(name: str) -> str:
    """Returns the normalised form under which category names compare equal: ``"Cell_phone"`` and ``"cell phone"``."""
    return " ".join(name.replace("_", " ").lower().split())


@lru_cache(maxsize=2**12)
def clean_phrase(phrase: str) -> str:
    """Normalises a phrase for use in a caption: single spaces, no full stop at the end.

    It is lower-cased where lower-casing, which mmdet applies to captions, would otherwise change its length.
    """
    phrase = " ".join(phrase.split()).rstrip(". ")
    return phrase if len(phrase.lower()) == len(phrase) else phrase.lower()


def category_phrase(name: str) -> str:
    """Converts a category name to a phrase without LVIS's addition in brackets: ``"bat (animal)"`` to ``"bat"``."""
    return re.sub(r"\s*\([^()]*\)", "", category_key(name)) or name


def caption_phrase(phrase: str, category: str) -> str:
    """Returns the phrase for an object in a caption: its own phrase, or its category if it has none."""
    return clean_phrase(phrase) or clean_phrase(category_phrase(category))
