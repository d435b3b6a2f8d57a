"""Mutated annotation files of every kind through validator, page, index, referring, converters, subsets and pasting.

No exception is one that the command line does not turn into a refusal, and what the validator accepts all readers read.
"""

import pytest

from tests.faults import world
from tests.faults.mutations import READERS, judge, write_mutated

pytest.importorskip("onnx")
pytest.importorskip("mmcv")


def judge_many(folder, kind, seeds):
    folder, wrong, accepted = world.build(folder), [], 0
    for seed in seeds:
        faultless, found = judge(folder, kind, seed)
        accepted += faultless
        wrong += found
    return accepted, wrong


@pytest.mark.parametrize("kind", READERS)
def test_good_files_are_accepted_and_read(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.faults.mutations.mutated", lambda content, rng: content)
    monkeypatch.setattr("tests.faults.mutations.spoiled_text", lambda text, rng: text.encode())
    accepted, wrong = judge_many(tmp_path, kind, [0])
    assert wrong == []
    assert accepted == (kind != "objects")


@pytest.mark.parametrize("kind", READERS)
def test_few(kind, tmp_path):
    assert judge_many(tmp_path, kind, range(3))[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_many(kind, tmp_path):
    accepted, wrong = judge_many(tmp_path, kind, range(100, 400))
    print(f"{kind}: 300 mutated files, {accepted} of them without fault by the validator, {len(wrong)} wrong")
    assert wrong == []


def test_the_same_seed_gives_the_same_file(tmp_path):
    folder = world.build(tmp_path)
    first = write_mutated(folder, "coco", 5).read_bytes()
    write_mutated(folder, "coco", 6)
    assert write_mutated(folder, "coco", 5).read_bytes() == first
