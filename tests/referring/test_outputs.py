"""What is made of proved expressions: captions of the right length, and a file that a killed run finishes."""

import json

import numpy as np
import pytest

from sos_mm.formats.odvg import region_boxes
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.lines import forget_run, write_resumable
from sos_mm.referring.outputs import CaptionWriter, image_line, single_lines
from sos_mm.referring.phrasing import write
from sos_mm.referring.tokens import build_counter, upper_bound
from tests.referring.scenes import composed, drawn


def line_of(image, index=0, seed=0):
    return image_line(image, write(image, np.random.default_rng(seed)), {}, index)


def test_a_line_has_all_of_its_expressions():
    image = composed("several categories", 4)
    found = write(image, np.random.default_rng(0))
    line = image_line(image, found, {image.instances[0].category: 17}, 12)
    assert len(found) > 8
    # As a file gives it back.
    for place, (record, truth) in enumerate(zip(json.loads(json.dumps(line))["expressions"], found, strict=True)):
        assert record["id"] == 12 * 1000 + place + 1
        assert record["ids"] == [image.instances[each].id for each in truth.targets]
        assert record["boxes"] == [list(image.instances[each].box) for each in truth.targets]
        names = [image.instances[each].category for each in truth.targets]
        assert record["category_ids"] == [17 if name == image.instances[0].category else 1 for name in names]
        told = {
            key: record[key] for key in ("text", "kind", "plural", "meaning", "near", "changed", "language", "pair")
        }
        rebuilt = ReferringExpression(targets=tuple(record["targets"]), head=tuple(record["head"]), **told)
        assert rebuilt == truth
    assert "ids" not in image_line(image, found, {}, 0, with_ids=False)["expressions"][0]


def test_captions_hold_every_expression_once_within_their_budget():
    lengths, several = [], 0
    for index in range(12):
        image = composed("several categories", index)
        line = line_of(image, index)
        captions = [each["grounding"] for each in CaptionWriter(upper_bound).lines(line, np.random.default_rng(index))]
        said = {each["text"]: each for each in line["expressions"]}
        seen = []
        for grounding in captions:
            parts = grounding["caption"].removesuffix(".").split(". ")
            seen += parts
            # With [CLS] and [SEP].
            lengths.append(upper_bound(grounding["caption"]) + 2)
            positive = {}
            for region in grounding["regions"]:
                for start, end in region["tokens_positive"]:
                    positive.setdefault(grounding["caption"][start:end], []).extend(region_boxes(region))
            for part in parts:
                assert sorted(positive.get(part, [])) == sorted(said[part]["boxes"])
            several += len(parts) > 1 and len(positive) < len(parts)
        assert sorted(seen) == sorted(said)
    assert max(lengths) <= 255
    assert len(set(lengths)) > 8
    # Captions hold parts that mean nothing beside others that do.
    assert several > 5


def test_the_same_draws_give_the_same_captions():
    line = line_of(composed("several categories", 4))
    one, same, other = (
        list(CaptionWriter(build_counter(None)).lines(line, np.random.default_rng(seed))) for seed in (5, 5, 6)
    )
    assert one == same != other


def test_what_is_too_long_alone_and_what_is_said_twice():
    image = drawn([("cup", (10, 10, 60, 60), "red")])
    long, twice = (
        ReferringExpression("a " + "b" * 300, (0,), "category", False, (0, 1)),
        ReferringExpression("the cup.", (0,), "category", False, (0, 1)),
    )
    same = ReferringExpression("The cup", (0,), "category", False, (0, 1))
    line = image_line(image, [long, twice, same], {}, 0)
    captions = list(CaptionWriter(upper_bound).lines(line, np.random.default_rng(0)))
    assert [each["grounding"]["caption"] for each in captions] == ["The cup."]
    assert [each["expression_id"] for each in single_lines(line)] == [1, 2, 3]


def test_an_image_without_expressions_has_no_line():
    line = line_of(drawn([]))
    assert line["expressions"] == []
    assert list(CaptionWriter(upper_bound).lines(line, np.random.default_rng(0))) == []
    assert list(single_lines(line)) == []


@pytest.mark.parametrize("tokens", [(150,), (150, 257), (7, 20), (200, 150), (150.5, 200), "many", None])
def test_faulty_lengths(tokens):
    with pytest.raises(ValueError, match="`tokens` must be"):
        CaptionWriter(upper_bound, tokens)


LINES = [{"index": index, "text": "é" * index} for index in (0, 1, 3, 4, 7)]


class Killed(Exception):  # noqa: N818
    """Stands for a signal."""


@pytest.mark.parametrize("after", range(len(LINES) + 1))
def test_a_killed_run_is_finished(tmp_path, after):
    """Wherever it stops, and whatever it leaves of a line, no line is made twice and the bytes are the same."""
    path, made = tmp_path / "out/lines.jsonl", []

    def make(start, stop=None):
        for number, line in enumerate(each for each in LINES if each["index"] >= start):
            if number == stop:
                raise Killed
            made.append(line["index"])
            yield line

    with pytest.raises(Killed) if after < len(LINES) else pytest.MonkeyPatch.context():
        write_resumable(path, {"seed": 1}, lambda start: make(start, after))
    if after < len(LINES):
        assert not path.exists()
        with open(path.with_name(".lines.jsonl.part"), "ab") as file:
            file.write('{"index": 9, "text": "é'.encode()[:-1])
        write_resumable(path, {"seed": 1}, make)
        assert made == [each["index"] for each in LINES]
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == LINES
    # A whole file is not made again until the run is over.
    assert write_resumable(path, {"seed": 1}, lambda start: pytest.fail("made again")) == 0
    forget_run(path)
    assert [each.name for each in path.parent.iterdir()] == ["lines.jsonl"]


def test_another_run_begins_anew(tmp_path):
    path = tmp_path / "lines.jsonl"

    def stopped(start):
        yield LINES[0]
        raise Killed

    with pytest.raises(Killed):
        write_resumable(path, {"seed": 1}, stopped)
    asked = []
    write_resumable(path, {"seed": 2}, lambda start: asked.append(start) or LINES[:2])
    assert asked == [0]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
