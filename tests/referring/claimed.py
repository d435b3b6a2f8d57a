"""What the words of the bundled sample's objects claim, read in a plainer way than the package does."""

from sos_mm.segments.colors import COLOR_NAMES

SAME = {"gray": "grey", "tan": "brown", "golden": "yellow"}
TONES = {"dark", "light", "pale", "bright"}


def claimed(instance) -> tuple[set[str], set[str]]:
    """Colours of the whole, and other attributes that nothing else than the words themselves could be asked for."""
    noun = instance.category.replace("_", " ")
    colors, words = set(), set()
    phrase = instance.phrase.split(f" {noun}")[0] if f" {noun}" in instance.phrase else ""
    before = [word for word in phrase.split() if word not in ("a", "an", "the")]
    if not phrase.startswith(("a ", "an ", "the ")) or before[-1:] == ["of"]:
        before = []
    for text in (*instance.attributes, *before):
        parts = [SAME.get(part, part) for part in text.replace("-", " ").split()]
        parts = [part for part in parts if part not in TONES and part != "and"]
        if parts and all(part in COLOR_NAMES for part in parts):
            colors |= set(parts)
        elif text in instance.attributes:
            words.add(text)
    if before and before[-1] not in ("and", *TONES):
        words.add(before[-1])
    return colors, words
