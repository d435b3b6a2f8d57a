"""Tables of configs in the documentation: their rows, and the config files that a row names."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Yields the tables of a text, each row by its headers."""
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        header, rule, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines())
        assert all(set(cell) <= set("-: ") for cell in rule)
        assert all(len(row) == len(header) for row in rows), rows
        yield [dict(zip(header, row, strict=True)) for row in rows]


def braces(name: str) -> list[str]:
    """Lists the names that one with braces stands for, as a shell has it.

    >>> braces("a_{1,2}.py")
    ['a_1.py', 'a_2.py']
    """
    parts = re.split(r"\{(.*?)\}", name)
    return ["".join(each) for each in product(*(part.split(",") if i % 2 else [part] for i, part in enumerate(parts)))]


def configs_of(row: dict[str, str]) -> list[str]:
    """Lists the configs that a row names, by their paths in ``configs``; the header says their folder."""
    header = next(iter(row))
    folder = Path(re.fullmatch(r"config in `configs/?(.*)`", header)[1])
    names = [name for word in re.findall(r"`(.*?)`", row[header]) for name in braces(word)]
    return sorted(str(path.relative_to(CONFIGS)) for name in names for path in (CONFIGS / folder).glob(name))
