"""Writes proved expressions in the formats that data sets and metrics read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np

from sos_mm.checks import check_integer
from sos_mm.formats.odvg import image_part, parts_by_tokens
from sos_mm.formats.phrases import clean_phrase
from sos_mm.formats.records import Record
from sos_mm.formats.referring import expression_id, grounding_part, line_record
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.tokens import Counter

# SOS draws the length of a caption from this range, in characters. mmdet truncates captions at 256 tokens.
CAPTION_TOKENS = (150, 255)
MOST_TOKENS = 256
_REST = [each.name for each in fields(ReferringExpression) if each.name not in ("text", "targets")]


def image_line(
    image: AnnotatedImage,
    expressions: Sequence[ReferringExpression],
    category_ids: Mapping[str, int],
    index: int,
    with_ids: bool = True,
) -> Record:
    """Encodes the expressions of an image as a line of our own file.

    Args:
        image: The image; its instances have the source's ids.
        expressions: The image's expressions.
        category_ids: Ids by category name; categories without one get 1.
        index: The image's index in the data set, from 0; the ids of the expressions are derived from it.
        with_ids: Whether to write the source's ids of the instances.

    Raises:
        ValueError: If there are more than a thousand expressions.
    """
    records = []
    for position, each in enumerate(expressions):
        meant = [image.instances[target] for target in each.targets]
        record = {"id": expression_id(index, position), "text": each.text, "targets": list(each.targets)}
        record |= {"ids": [instance.id for instance in meant]} if with_ids else {}
        record["boxes"] = [list(map(_plain, instance.box)) for instance in meant]
        record["category_ids"] = [category_ids.get(instance.category, 1) for instance in meant]
        records.append(record | {name: getattr(each, name) for name in _REST})
    return line_record(index, image.file_name, (image.height, image.width), image.image_id, records)


def _plain(value: float) -> float | int:
    """Writes an integral value as an integer, which keeps files short."""
    return int(value) if value == int(value) else float(value)


class CaptionWriter:
    """Joins the expressions of an image into captions of ODVG for grounding, in random order.

    The token limit of each caption is drawn from a range; it includes the two special tokens and the full stop after
    each expression. Expressions with equal words are written once. An expression that is too long for any caption is
    left out.

    Args:
        count: Counts the tokens of a text; see `sos_mm.referring.tokens`.
        tokens: Least and greatest token limit of a caption.

    Raises:
        ValueError: If ``tokens`` are not two integers, the first not above the second, in [8, 256].
    """

    def __init__(self, count: Counter, tokens: Sequence[int] = CAPTION_TOKENS):
        if not isinstance(tokens, list | tuple) or len(tokens) != 2:
            raise ValueError(f"`tokens` must be the least and the most tokens of a caption, but got {tokens!r}.")
        check_integer("tokens", tokens[0], 8, MOST_TOKENS)
        check_integer("tokens", tokens[1], tokens[0], MOST_TOKENS)
        self._count, self._low, self._high = count, tokens[0], tokens[1]

    def lines(self, line: Record, rng: np.random.Generator) -> Iterator[Record]:
        """Encodes the captions of an image.

        Args:
            line: The image's line, as `image_line` encodes it.
            rng: Draws the order and the token limits.

        Yields:
            ODVG lines; none for an image without expressions.
        """
        by_words = {clean_phrase(each["text"]).lower(): each for each in line["expressions"]}
        chosen = list(by_words.values())
        chosen = [chosen[position] for position in rng.permutation(len(chosen)).tolist()]
        texts = [clean_phrase(each["text"]) for each in chosen]
        image = image_part(line["file_name"], (line["height"], line["width"]))

        def draw() -> int:
            return int(rng.integers(self._low, self._high + 1))

        for part in parts_by_tokens(texts, self._count, draw, self._high):
            yield image | {"grounding": grounding_part([chosen[position] for position in part])}


def single_lines(line: Record) -> Iterator[Record]:
    """Encodes each expression of an image as one ODVG line, which has no regions if there is no target."""
    image = image_part(line["file_name"], (line["height"], line["width"]))
    for each in line["expressions"]:
        part = {"expression_id": each["id"], "image_id": line["image_id"], "dataset_name": "referring"}
        yield image | part | {"grounding": grounding_part([each])}
