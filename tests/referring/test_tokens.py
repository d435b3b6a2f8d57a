"""Counts of tokens against the tokenizer that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.referring.tokens import build_counter, upper_bound

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "'", "-", "the", "red", "mug", "left", "of", "un",
    "##happy", "##s", "##ing", "dog", "cafe", "二", "##二", "一", *"abcdefghijklmnopqrstuvwxyz0123456789",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"),
]  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40) | st.lists(
    st.sampled_from(["the", "Red", "mugs", "unhappy", "café.", "dog's", "二一", "x" * 101, "İ", "naïve", "\t", "3.5"])
).map(" ".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reference(folder):
    """The tokenizer of BERT's first implementation."""
    return pytest.importorskip("transformers").BertTokenizer(str(folder / "vocab.txt"))


@pytest.fixture(scope="module")
def counter(folder):
    return build_counter(folder)


@given(text=TEXTS)
def test_as_bert_counts(text, reference, counter):
    # Special tokens written in a text would be taken for such.
    if "[" not in text:
        assert counter(text) == len(reference.tokenize(text))


@given(text=TEXTS)
def test_the_bound_holds(text, reference):
    if "[" not in text:
        assert upper_bound(text) >= len(reference.tokenize(text))


def test_counts_add_up(counter):
    """A caption has as many tokens as its expressions with their stops, which is how captions are filled."""
    parts = ["the red mug left of the dog", "unhappy dogs", "café 3.5", "二一 mug"]
    assert counter(" ".join(f"{part}." for part in parts)) == sum(counter(f"{part}.") for part in parts)


def test_tokenizers_file_counts_the_same(folder, tmp_path, counter):
    transformers = pytest.importorskip("transformers")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(tmp_path)
    by_file = build_counter(tmp_path / "tokenizer.json")
    for text in ("the red mug left of the dog.", "unhappy dogs", "Café", "a" * 300, ""):
        assert by_file(text) == counter(text)


def test_without_a_tokenizer_characters_count():
    counter = build_counter(None)
    assert counter("the red mug.") == 10
    assert counter("Käse") == 4
    assert counter(" \t") == 0


@pytest.mark.parametrize(
    ("name", "content", "raises", "said"),
    [
        ("none.txt", None, FileNotFoundError, "none.txt does not exist"),
        ("vocab.txt", b"the\nred\n", ValueError, r"no line \[UNK\]"),
        ("vocab.txt", b"\xff\xfe", ValueError, "in UTF-8"),
        ("tokenizer.json", b"{}", ValueError, "tokenizer.json cannot be read"),
    ],
)
def test_faulty_tokenizers(tmp_path, name, content, raises, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(raises, match=said):
        build_counter(tmp_path / name)


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds neither"):
        build_counter(tmp_path)
