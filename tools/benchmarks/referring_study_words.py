"""Hand-written ways to say what an expression means, none of which the grammar of `sos_mm.referring` uses itself.

The grammar understands more words than it writes. A model trained on the grammar's sentences has seen neither these
templates nor these words, and each sentence is still proved: `sos_mm.referring.verify` reads it back.
"""

import copy

import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.language import Language, language
from sos_mm.referring.verify import verify
from sos_mm.referring.wording import Unsayable, Wording

_SIDES = {
    "left": ["in the left half", "in the left part", "on the left hand side"],
    "right": ["in the right half", "in the right part", "on the right hand side"],
    "top": ["in the upper part", "in the upper half", "toward the top"],
    "bottom": ["in the lower part", "in the lower half", "toward the bottom"],
    "middle": ["near the center", "near the middle"],
    "top left": ["in the upper left corner", "on the top left"],
    "top right": ["in the upper right corner", "on the top right"],
    "bottom left": ["in the lower left corner", "on the bottom left"],
    "bottom right": ["in the lower right corner", "on the bottom right"],
}
_RELATIONS = {
    "left of": ["on the left side of", "at the left of"],
    "right of": ["on the right side of", "at the right of"],
    "above": ["over", "higher than"],
    "below": ["under", "beneath", "underneath"],
    "next to": ["adjacent to", "alongside"],
    "touching": ["in contact with"],
    "overlapping": ["overlapping with"],
    "in front of": ["covering", "partially occluding"],
    "behind": ["partially covered by", "hidden behind"],
}
# Before the noun, behind it, and behind an ordinal.
_RANKS = {
    "left": (
        ["far left", "furthest left"],
        ["nearest the left edge", "furthest to the left"],
        ["counting from the left"],
    ),
    "right": (
        ["far right", "furthest right"],
        ["nearest the right edge", "furthest to the right"],
        ["counting from the right"],
    ),
    "top": (["uppermost"], ["at the very top", "highest up"], ["counting from the top"]),
    "bottom": (["lowermost"], ["at the very bottom", "lowest down"], ["counting from the bottom"]),
    "large": ([], ["that is the largest", "that is the biggest"], []),
    "small": (["tiniest", "littlest"], ["that is the smallest"], []),
    "front": ([], ["in the foreground", "nearest to the viewer"], []),
    "back": (["rear"], ["in the background", "furthest away"], []),
}
_RANKS_TO = {"near": ["nearest", "the nearest to"], "far": ["furthest from", "most distant from"]}
_SIZES = {"large": ["huge"], "small": ["tiny"]}
_ONE = ["find the {np}", "that {np}", "show me the {np}", "point to the {np}"]
_MANY = {"all": ["every {np}", "find all the {np}"], "two": ["find both {np}"], "count": ["show me the {n} {np}"]}
_TRIES = 8


def reworded(image: AnnotatedImage, expression: ReferringExpression, rng: np.random.Generator) -> str | None:
    """Says what an expression means in the words of this module.

    Args:
        image: Its image.
        expression: An English one of the grammar.
        rng: Draws the words.

    Returns:
        A sentence that is proved to mean the same targets; None if none was found.
    """
    for _ in range(_TRIES):
        picks = rng.integers(0, 60, 24).tolist()
        try:
            text = Wording(_LANGUAGE, picks).say(expression.meaning).text
        except Unsayable:
            continue
        if text != expression.text and verify(image, text, expression.targets).status == "true":
            return text
    return None


def _other_words(known: Language) -> Language:
    """Returns a language that writes the words of this module, and those of the grammar for all else."""
    other = copy.copy(known)
    other.words = words = copy.deepcopy(known.words)
    for table, said in (("positions", _SIDES), ("relations", _RELATIONS), ("ranks_to", _RANKS_TO), ("sizes", _SIZES)):
        for name, choices in said.items():
            words[table][name]["say"] = choices
    for name, (before, behind, counted) in _RANKS.items():
        words["ranks"][name] = {"adjectives": before, "phrases": behind, "from": counted}
    words["clauses"].update(one=["located", "placed"], many=["located", "placed"])
    words["quantity"].update(one=_ONE, **_MANY)
    words["between"]["say"] = ["in the middle between"]
    return other


_LANGUAGE = _other_words(language("en"))
