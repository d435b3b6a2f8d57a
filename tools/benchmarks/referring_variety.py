"""Measures how varied our referring expressions are: distinct n-grams, lengths and kinds, beside published data sets.

    python tools/benchmarks/referring_variety.py data/composed=300 coco/instances_val.json,coco/val=160

Prints Markdown: a column for each data set that is named, and one for each of RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO
with what their papers print. Nothing is computed for those; a dash says that the source prints no such figure.

Distinct-n is the number of different n-grams divided by the number of n-grams (Li et al., 2016, arXiv:1510.03055); no
n-gram spans two expressions. It falls with the size of a corpus: compare it at a similar number of words only.
"""

import argparse
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from referring_page import HELP, open_images

from sos_mm.referring.expression import KINDS, ReferringExpression
from sos_mm.referring.phrasing import write

# Sources by the mark behind a figure.
SOURCES = {
    "1": "Yu et al., Modeling Context in Referring Expressions, ECCV 2016, arXiv:1608.00272",
    "2": "Liu et al., GRES: Generalized Referring Expression Segmentation, CVPR 2023, arXiv:2306.00968",
    "3": "Nagaraja et al., Modeling Context Between Objects for Referring Expression Understanding, ECCV 2016",
}
PUBLISHED = {
    "RefCOCO": {"images": "19,994 [1]", "expressions": "142,209 [1]", "words, mean": "3.61 [1]"},
    "RefCOCO+": {"images": "19,992 [1]", "expressions": "141,564 [1]", "words, mean": "3.53 [1]"},
    "RefCOCOg, split of UMD": {"images": "25,799 [3]", "expressions": "95,010 [3]", "words, mean": "8.43 [1]"},
    "gRefCOCO": {
        "images": "19,994 [2]",
        "expressions": "278,232 [2]",
        "several targets": "28.8 % (80,022) [2]",
        "no target": "11.6 % (32,202) [2]",
    },
}
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="DATA[,FOLDER]=NUMBER", help=HELP)
    parser.add_argument("--seed", type=int, default=0, help="seed of the grammar's draws (0)")
    args = parser.parse_args()
    columns = {source: statistics_of(*written(source, args.seed)) for source in args.data}
    print(table(columns | PUBLISHED))


def written(source: str, seed: int) -> tuple[list[ReferringExpression], int]:
    """Writes the expressions of the first images of a data set; returns them, and the number of images."""
    images, wanted = open_images(source)
    expressions, number = [], 0
    for index, image in images.numbered():
        if number == wanted:
            break
        expressions += write(image, np.random.default_rng([seed, index]))
        number += 1
    return expressions, number


def statistics_of(expressions: Sequence[ReferringExpression], images: int) -> dict[str, str]:
    """Computes the rows of a column of the table.

    Raises:
        ValueError: If there are no expressions.
    """
    if not expressions:
        raise ValueError(f"`data` must have images with expressions, but none of {images} has any.")
    words = [words_of(each.text) for each in expressions]
    lengths = [len(each) for each in words]
    low, high = np.percentile(lengths, [5, 95])
    number = Counter(min(len(each.targets), 2) for each in expressions)
    kinds = Counter(each.kind for each in expressions)
    rows = {
        "images": f"{images:,}",
        "expressions": f"{len(expressions):,}",
        "words": f"{sum(lengths):,}",
        "different words": f"{len({word for each in words for word in each}):,}",
        "different expressions": _share(len({" ".join(each) for each in words}), len(words)),
        "words, mean": f"{statistics.fmean(lengths):.2f}",
        "words, 5 to 95 %": f"{low:.0f} to {high:.0f}",
    }
    rows |= {f"distinct-{n}": f"{distinct(words, n):.3f}" for n in (1, 2, 3)}
    rows |= {kind: _share(kinds[kind], len(expressions)) for kind in KINDS}
    names = ("no target", "one target", "several targets")
    return rows | {name: _share(number[index], len(expressions)) for index, name in enumerate(names)}


def words_of(text: str) -> list[str]:
    """Splits a text into words in lower case, without punctuation.

    >>> words_of("The dog's two-tone bowl, on the left")
    ["the", "dog's", 'two-tone', 'bowl', 'on', 'the', 'left']
    """
    return _WORD.findall(text.lower())


def distinct(sentences: Iterable[Sequence[str]], n: int) -> float:
    """Computes distinct-n of sentences of words; 0 without n-grams.

    >>> distinct([["the", "red", "dog"], ["the", "red", "cat"]], 2)
    0.75
    """
    grams = Counter(tuple(words[start : start + n]) for words in sentences for start in range(len(words) - n + 1))
    return len(grams) / grams.total() if grams else 0.0


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Formats columns as Markdown, with the sources below."""
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    lines += [f"| {row} | {' | '.join(column.get(row, '-') for column in columns.values())} |" for row in rows]
    return "\n".join([*lines, "", *(f"[{mark}] {source}." for mark, source in SOURCES.items())])


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


if __name__ == "__main__":
    main()
