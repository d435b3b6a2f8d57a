"""Counts the tokens of a text as a language model does, so that captions fit it."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sos_mm.checks import require

# (text) -> number of tokens, without [CLS] and [SEP].
Counter = Callable[[str], int]
# BERT makes one unknown token of a longer word.
_LONGEST_WORD = 100
_REMEMBERED = 2**16


def upper_bound(text: str) -> int:
    """Computes an upper bound of the number of tokens, valid for any uncased WordPiece vocabulary.

    It is the number of characters after BERT's decomposition, without spaces and accents, since a token has at least
    one character. For English text it is about four times the number of tokens, so that a limit in tokens acts like a
    limit in characters.
    """
    if text.isascii():
        return sum(map(len, text.split()))
    decomposed = unicodedata.normalize("NFD", text.lower())
    return sum(not each.isspace() and unicodedata.category(each) != "Mn" for each in decomposed)


def build_counter(tokenizer: str | Path | None) -> Counter:
    """Builds the token counter of a tokenizer.

    Args:
        tokenizer: An uncased BERT vocabulary ``vocab.txt``, such as that of bert-base-uncased; a
            ``tokenizer.json``, which the package `tokenizers` reads; or a folder with one of them. None for
            `upper_bound`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a ``tokenizer.json`` is given and `tokenizers` is not installed.
        ValueError: If the file is no vocabulary.
    """
    if tokenizer is None:
        return upper_bound
    path = Path(tokenizer)
    if path.is_dir():
        found = [path / name for name in ("vocab.txt", "tokenizer.json") if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"`tokenizer` must hold vocab.txt or tokenizer.json, but {path} holds neither.")
        path = found[0]
    if not path.is_file():
        raise FileNotFoundError(f"`tokenizer` must be a vocabulary file or its folder, but {path} does not exist.")
    if path.suffix != ".json":
        return WordPieceCounter.from_file(path)
    tokenizers = require("tokenizers", f"Counting tokens by {path}", "pip install tokenizers, or give a vocab.txt")
    try:
        loaded = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # The package raises plain exceptions.
        raise ValueError(f"`tokenizer` must be a tokenizer's file, but {path} cannot be read: {error}.") from error
    loaded.no_truncation()
    loaded.no_padding()
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)


class WordPieceCounter:
    """Counts tokens as BERT's uncased tokenizer does: words and marks, each split into the longest known pieces.

    Args:
        vocabulary: The pieces; pieces that continue a word begin with ``##``.
    """

    def __init__(self, vocabulary: frozenset[str]):
        self._vocabulary = vocabulary
        self._of_word = lru_cache(_REMEMBERED)(self._pieces)

    @classmethod
    def from_file(cls, path: Path) -> "WordPieceCounter":
        """Reads a vocabulary with one piece in each line.

        Raises:
            ValueError: If it has no [UNK], which every BERT vocabulary has.
        """
        try:
            pieces = frozenset(path.read_text(encoding="utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise ValueError(f"`tokenizer` must be a vocabulary in UTF-8, but {path} is not.") from error
        if "[UNK]" not in pieces:
            raise ValueError(f"`tokenizer` must be a BERT vocabulary, but {path} has no line [UNK].")
        return cls(pieces)

    def __call__(self, text: str) -> int:
        """Counts the tokens of a text, without [CLS] and [SEP]."""
        return sum(map(self._of_word, _words(text)))

    def _pieces(self, word: str) -> int:
        if len(word) > _LONGEST_WORD:
            return 1
        number = start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in self._vocabulary), None)
            if end is None:
                return 1
            number, start = number + 1, end
        return number


def _words(text: str) -> list[str]:
    """Splits a text into words and marks, in lower case without accents; each Chinese character is a word."""
    if not text.isascii():
        text = "".join(f" {each} " if _is_chinese(each) else each for each in text if not _is_control(each))
        decomposed = unicodedata.normalize("NFD", text.lower())
        text = "".join(each for each in decomposed if unicodedata.category(each) != "Mn")
        return "".join(f" {each} " if _is_mark(each) else each for each in text).split()
    return _ASCII_WORD.findall(text.lower())


_ASCII_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def _is_chinese(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _CHINESE)


def _is_control(character: str) -> bool:
    return character in "\0�" or (unicodedata.category(character)[0] == "C" and character not in "\t\n\r")


def _is_mark(character: str) -> bool:
    ascii_mark = character.isascii() and not character.isalnum() and not character.isspace()
    return ascii_mark or unicodedata.category(character)[0] == "P"
