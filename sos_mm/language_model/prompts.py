"""Reads prompts from a data file, so that a prompt can be edited or translated without changing code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from sos_mm.checks import check_choice
from sos_mm.language_model.request import ROLES

_HEADING = re.compile(r"^\[(\w+) (\w+)\]$", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """A template of chat messages.

    Attributes:
        name: Name of the prompt in the file.
        parts: Role and text of each message; ``$word`` in a text is a gap (placeholder).
    """

    name: str
    parts: tuple[tuple[str, Template], ...]

    def messages(self, gaps: Mapping[str, str]) -> tuple[dict[str, str], ...]:
        """Fills all gaps and returns the messages; filled-in text is not searched for gaps.

        Raises:
            ValueError: If a gap of the prompt is not among those given.
        """
        try:
            return tuple({"role": role, "content": text.substitute(gaps)} for role, text in self.parts)
        except KeyError as error:
            raise ValueError(
                f"The gaps of prompt {self.name!r} must be among {', '.join(map(repr, sorted(gaps)))}, "
                f"but it has ${error.args[0]}: write $$ for a dollar sign."
            ) from None


def load_prompts(path: str | Path) -> dict[str, Prompt]:
    """Reads a file of prompts: a line ``[name role]`` before each message, roles 'system', 'user' and 'assistant'.

    Text before the first such line is a comment.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no prompt, or one is invalid; names the file.
    """
    path = Path(path)
    _, *pieces = _HEADING.split(path.read_text(encoding="utf-8"))
    parts: dict[str, list[tuple[str, Template]]] = {}
    for name, role, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        check_choice(f"role of prompt {name!r} in {path}", role, ROLES)
        template = Template(text.strip())
        if not text.strip() or any(match["invalid"] is not None for match in template.pattern.finditer(text)):
            raise ValueError(f"Prompt {name!r} in {path} must be a text whose dollar signs are gaps or written $$.")
        parts.setdefault(name, []).append((role, template))
    if not parts:
        raise ValueError(f"{path} must hold prompts under lines such as '[name user]', but holds none.")
    return {name: Prompt(name, tuple(messages)) for name, messages in parts.items()}
