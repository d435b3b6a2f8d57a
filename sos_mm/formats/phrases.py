"""Names of categories, and what objects are called in captions."""

import re


def category_key(name: str) -> str:
    """What names of one category have in common: ``"Cell_phone"`` and ``"cell phone"`` are the same."""
    return " ".join(name.replace("_", " ").lower().split())


def clean_phrase(phrase: str) -> str:
    """A phrase as it stands in a caption: single spaces, no stop at its end.

    It is in lower case where mmdet, which makes captions so, would otherwise change its length.
    """
    phrase = " ".join(phrase.split()).rstrip(". ")
    return phrase if len(phrase.lower()) == len(phrase) else phrase.lower()


def category_phrase(name: str) -> str:
    """A category's name as a phrase, without what LVIS adds in brackets: ``"bat (animal)"`` becomes ``"bat"``."""
    return re.sub(r"\s*\([^()]*\)", "", category_key(name)) or name


def caption_phrase(phrase: str, category: str) -> str:
    """What stands for an object in a caption: its phrase, or its category where it has none."""
    return clean_phrase(phrase) or clean_phrase(category_phrase(category))
