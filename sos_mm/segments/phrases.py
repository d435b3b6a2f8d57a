"""What objects are called in captions, offline and on the fly."""

import re

from sos_mm.segments.vocabulary import category_key


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
