"""Words that a change of pixels may falsify: which operation endangers which kinds, and how false words are dropped."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

from sos_mm.segments.colors import COLOR_WORD

KINDS = ("side", "text", "posture", "position", "color", "lightness", "focus")
# Kinds of words that a change of colours alone, without any change of geometry, may falsify.
PIXELS = frozenset({"color", "lightness", "focus", "text"})
_TONE = frozenset({"color", "lightness"})

# Operation -> kinds of words that it endangers. First the operations on cut-outs and complete images, then the steps of
# composition and the relighters, by their registered names.
ENDANGERED = MappingProxyType(
    {
        "mirror": frozenset({"side", "text"}),
        "vertical_flip": frozenset({"side", "text", "posture"}),
        "rotate": frozenset({"side", "text", "posture"}),
        "crop": frozenset({"side", "position"}),
        "color": _TONE,
        "blur": frozenset({"focus"}),
        "hue": frozenset({"color"}),  # Lightness, as the HSV value, stays.
        "see_through": _TONE,  # A translucent object, through which the background shows.
        "Harmonize": _TONE,
        "DirectionalShading": _TONE,
        "ContactShadow": _TONE,  # Of the objects behind the one that casts it.
        "CastShadow": _TONE,
        "EdgeFeather": _TONE,  # Of thin objects, which are mostly edge.
        "PoissonBlend": _TONE,
        "GrainMatch": _TONE | {"focus"},
        "JpegMatch": _TONE | {"focus"},
        "DepthOfField": _TONE | {"focus"},
        # The row of their relighter applies.
        "Relight": frozenset(),
        "AreaWeightedBlend": frozenset(),
        "GradientRelighter": _TONE,
        "ICLightRelighter": PIXELS,  # It paints all pixels anew.
    }
)

# The first rows: operations on complete images.
IMAGE_OPERATIONS = ("mirror", "vertical_flip", "rotate", "crop", "color", "blur")

_ALONE = r"(?<![a-z])(?:{})(?![a-z])"
# Letters that a mirror turns into another letter or none.
_UNEVEN = "[bcdefgjklnpqrsz]"
_SIDE = (
    r"left|right|left-?most|right-?most|(?:left|right)wards?|(?:left|right)hand(?:ed)?|lefty|"
    r"(?:anti-?|counter-?)?clockwise|(?:north|south|east|west)(?:ern|wards?|bound)?|starboard|"
    rf"(?:driver|passenger)(?:'?s)? side|mirror(?:ed|-image)|backwards?|(?:back)?slash|{_UNEVEN}[- ]shaped?"
)
_TEXT = (
    r"words?|wording|texts?|letters?|lettering|letter-?head|writing|writes|written|handwrit(?:ing|ten)|calligraphy|"
    r"graffiti|inscri(?:bed|ptions?)|engrav(?:ed|ings?)|initials|monogram(?:s|med)?|slogans?|captions?|captioned|"
    r"titles?|titled|names?|named|nameplates?|numbers?|numbered|numerals?|digits?|alphabet|signs?|signage|"
    r"sign-?(?:posts?|boards?)|billboards?|placards?|banners?|labels?|labell?ed|logos?|emblems?|emblazoned|brands?|"
    r"branded|branding|(?:license|licence|number) plates?|reads?|reading|says?|saying|spell(?:s|ing|ed)?|o'clock"
)
# Quotation marks, numerals, and words in capitals.
_QUOTED = (
    "[\"\u201c\u201d\u201e\u00ab\u00bb]|(?<![a-z0-9])['\u2018][^'\u2019]+['\u2019](?![a-z0-9])|[0-9]|"
    r"(?-i:(?<![A-Za-z])(?!(?:TV|SUV|CD|DVD|LED|USB|PC)s?\b)[A-Z]{2,})"
)
_POSTURE = (
    r"upright|erect|stand(?:s|ing)?|stood|lying|l(?:ies|aid|ain)|lean(?:s|ing)?|tilt(?:s|ed|ing)?|slant(?:s|ed|ing)?|"
    r"inclined?|inclining|slop(?:es?|ed|ing)|vertical(?:ly)?|horizontal(?:ly)?|diagonal(?:ly)?|upside|inverted|"
    r"overturned|toppled|tipped|capsized|reclin(?:es|ed|ing)|sideways|up|down|upwards?|downwards?|top|topmost|bottom|"
    r"bottommost|upper|lower|uppermost|lowermost|(?<!from )(?:above|below)|beneath|under|underneath|over|overhead|"
    r"sit(?:s|ting)?|seated|crouch(?:es|ed|ing)?|kneel(?:s|ing)?|squat(?:s|ting)?|hang(?:s|ing)?|dangl(?:es|ing)|"
    r"droop(?:s|ing|y)?|perch(?:es|ed|ing)?|prone|supine|rais(?:ed|ing)|lower(?:ed|ing)|lifted|rising|falling|"
    r"on (?:its|his|her|their) (?:side|back|head|end)|on end|rotated|turned"
)
_POSITION = (
    r"middle|cent(?:er|re|ral)|corner|top(?:most)?|bottom(?:most)?|(?:upper|lower)(?:most)?|edge|end|front|"
    r"back|foreground|background|side|"
    r"first|second|third|(?:four|fif|six|seven|eigh|nin|ten)th|last|touch(?:es|ing)|overlap(?:s|ping)|"
    r"behind|between|beside|besides|next|near|nearby|nearest|closer|closest|far|"
    r"farther|farthest|further|furthest|adjacent|opposite|above|below|beneath|under|underneath|over|around|"
    r"(?:bigg|larg|small|tall|short|high|low)(?:est|er)|most|only|both|all|other|another|each|every|alone|row|line|"
    r"group|two|three|four|five|six|seven|eight|nine|ten|outer(?:most)?|inner(?:most)?"
)
_FOCUS = (
    r"blur(?:s|red|ry)?|out[- ]of[- ]focus|in[- ]focus|(?:sharp|soft)[- ]focus|sharply focuss?ed|(?:un)?focuss?ed|"
    r"focus|bokeh|crisp|grainy|noisy|pixelated|(?:low|high)[- ]resolution"
)
# Meaning of words of lightness: for lightness and for saturation, 1 for high and -1 for low.
LIGHTNESS = MappingProxyType(
    {
        "dark": (-1, 0), "darker": (-1, 0), "deep": (-1, 0), "dim": (-1, 0), "dimly": (-1, 0), "shadowy": (-1, 0),
        "shaded": (-1, 0), "unlit": (-1, 0), "gloomy": (-1, 0), "light": (1, 0), "lighter": (1, 0), "bright": (1, 0),
        "brighter": (1, 0), "brightly": (1, 0), "pale": (1, -1), "pastel": (1, -1), "faded": (0, -1), "dull": (0, -1),
        "muted": (0, -1), "vivid": (0, 1), "vibrant": (0, 1), "saturated": (0, 1), "neon": (1, 1), "glowing": (1, 0),
        "luminous": (1, 0), "sunlit": (1, 0), "illuminated": (1, 0),
    }
)  # fmt: skip
# "Light" as an adjective of lightness, not a lamp and not a weight.
_LIGHT = (
    r"(?<!traffic )(?<!tail )(?<!brake )(?<!street )(?<!head )(?<!the )light(?=[- ][a-z])"
    r"(?![- ](?:bulb|fixture|switch|pole|post|source|rail|aircraft|weight|house|on|in|at|of|and|or|from|that|with)\b)"
)
_TONES = "|".join([*(word for word in LIGHTNESS if word != "light"), _LIGHT])
_PATTERNS = {
    "side": _ALONE.format(_SIDE),
    "text": f"{_ALONE.format(_TEXT)}|{_QUOTED}",
    "posture": _ALONE.format(_POSTURE),
    "position": _ALONE.format(_POSITION),
    "color": COLOR_WORD.pattern,
    "lightness": _ALONE.format(_TONES),
    "focus": _ALONE.format(_FOCUS),
}
_COMPILED = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _PATTERNS.items()}

# Words that may precede a colour word as part of it, and suffixes that may follow it.
_MODIFIERS = frozenset({*LIGHTNESS, "very", "soft", "rich", "mostly", "slightly", "almost"})
_SUFFIXES = frozenset({"color", "colored", "coloured", "toned", "tinted", "hued"})
# Words that cannot follow an attributive adjective, and nouns that mean something else without it.
_NO_NOUN = frozenset(
    {
        "a", "all", "an", "and", "are", "around", "as", "at", "but", "by", "for", "from", "has", "have", "in",
        "inside", "into", "is", "it", "its", "like", "made", "near", "of", "on", "one", "ones", "onto", "or", "out",
        "over", "panda", "seen", "such", "than", "that", "the", "then", "to", "under", "was", "were", "when", "where",
        "which", "while", "who", "whose", "widow", "with", "without",
    }
)  # fmt: skip
_AND = ("and", "or", "&")
_LIKE_A_CONSONANT = re.compile(r"(?:uni(?!n|m)|us[eu]|eu|one\b|once)", re.IGNORECASE)


class Words(NamedTuple):
    """All texts about an object; see `Segment`."""

    category: str
    sub_category: str
    phrase: str
    description: str
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, item: Any) -> "Words":
        """Returns the texts of a segment, its record, or an object of a scene."""
        return cls(item.category, item.sub_category, item.phrase, item.description, item.attributes)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts except the category, which never changes."""
        return self.sub_category, self.phrase, self.description, *self.attributes

    def without(self, kind: str, false: Iterable[str]) -> "Words":
        """Drops false words from the texts.

        Args:
            kind: Kind of the words.
            false: The words, in lower case, as `find` returns them.

        Returns:
            The texts after `drop`; an attribute with a false word is removed.
        """
        false = frozenset(false)
        return self._replace(
            sub_category=drop(self.sub_category, kind, false),
            phrase=drop(self.phrase, kind, false),
            description=drop(self.description, kind, false),
            attributes=tuple(each for each in self.attributes if not false.intersection(find(each, kind))),
        )


def endangered(operation: str) -> frozenset[str]:
    """Returns the kinds of words that an operation endangers.

    An operation that the table does not list endangers all kinds that a change of pixels can falsify.

    >>> sorted(endangered("mirror"))
    ['side', 'text']
    """
    return ENDANGERED.get(operation, PIXELS)


@lru_cache(maxsize=2**14)
def find(text: str, kind: str) -> tuple[str, ...]:
    """Finds the words of one kind in a text; returns them in lower case, in their order.

    Idioms count by their words ("a right angle" names a side): that may skip an operation without need, but never makes
    a text false.

    >>> find("A dark red car turning left", "side")
    ('left',)
    """
    return tuple(found[0].lower() for found in _COMPILED[kind].finditer(text.replace("_", " ")))


@lru_cache(maxsize=2**14)
def kinds_in(texts: tuple[str, ...]) -> frozenset[str]:
    """Returns the kinds of words in texts."""
    return frozenset(kind for kind in KINDS if any(find(text, kind) for text in texts))


@lru_cache(maxsize=2**14)
def kinds_of(words: Words) -> frozenset[str]:
    """Returns the kinds of words about an object, its category included."""
    return kinds_in((words.category, *words.texts))


def drop(text: str, kind: str, false: frozenset[str]) -> str:
    """Removes false words from a text.

    An adjective before its noun is removed with its modifiers, and the article before it is corrected. Any other text
    with a false word becomes empty.

    Args:
        text: A phrase, a sentence, or a name with underscores.
        kind: Kind of the words.
        false: The words, in lower case, as `find` returns them.

    >>> drop("a dark red apple on a red cloth", "color", frozenset({"red"}))
    'an apple on a cloth'
    >>> drop("an apple of deep red", "color", frozenset({"red"}))
    ''
    """
    if not false.intersection(find(text, kind)):
        return text
    joint = " " if " " in text else "_"
    tokens = text.split(joint)
    while tokens:
        plain = " ".join(tokens).replace("_", " ")
        found = next((each for each in _COMPILED[kind].finditer(plain) if each[0].lower() in false), None)
        if found is None:
            return joint.join(tokens)
        tokens = _take_out(tokens, *_places(tokens, found.start(), found.end()))
    return ""


def _places(tokens: list[str], start: int, end: int) -> tuple[int, int]:
    """Returns the half-open range of the tokens that hold a span of the joined text."""
    ends = list(accumulate(len(token) + 1 for token in tokens))
    return bisect_right(ends, start), bisect_left(ends, end) + 1


def _take_out(tokens: list[str], first: int, last: int) -> list[str]:
    """Removes an adjective from the tokens; returns none unless it is a plain adjective before its noun."""
    if last != first + 1 or not re.fullmatch(r"[A-Za-z]+(?:-[A-Za-z]+)*", tokens[first]):
        return []
    capital, is_color = tokens[first][0].isupper(), COLOR_WORD.search(tokens[first])
    last += last < len(tokens) and tokens[last].lower() in _SUFFIXES
    while first and tokens[first - 1].lower() in _MODIFIERS:
        first -= 1
        capital = tokens[first][0].isupper()
    before, behind = tokens[:first], tokens[last:]
    # Of two colours joined by "and" the other one stays; a longer series, or "red orange", is given up.
    if len(before) > 1 and before[-1].lower() in _AND and _is_color(before[-2]):
        before = before[:-1]
    elif len(behind) > 1 and behind[0].lower() in _AND and _is_color(behind[1]):
        behind = behind[1:]
    elif _is_tied(before[-1:]) or (is_color and any(map(_is_color, behind[:1]))):
        return []
    if not behind or not behind[0][:1].isalpha() or behind[0].lower().rstrip(".,;:!") in _NO_NOUN:
        return []
    return _joined(before, behind, capital)


def _is_tied(tokens: list[str]) -> bool:
    """Returns whether the words after these tokens belong to them."""
    return any(token.endswith(",") or token.lower() in _AND or _is_color(token) for token in tokens)


def _is_color(token: str) -> bool:
    return bool(COLOR_WORD.fullmatch(token))


def _joined(before: list[str], behind: list[str], capital: bool) -> list[str]:
    """Joins both parts: corrects an article between them, and keeps a capital at the beginning."""
    if before and before[-1].lower() in ("a", "an"):
        vowel = behind[0][0].lower() in "aeiou" and not _LIKE_A_CONSONANT.match(behind[0])
        before = [*before[:-1], before[-1][0] + ("n" if vowel else "")]
    elif capital:
        behind = [behind[0][0].upper() + behind[0][1:], *behind[1:]]
    return [*before, *behind]
