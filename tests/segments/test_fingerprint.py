"""Fingerprints: the same for the same segments, wherever they lie, and others for all others."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from sos_mm.segments import Filters, SegmentBank, build_bank, build_index, read_folder
from sos_mm.segments.index.arrow import IndexedRecords
from tests.conftest import make_rgba, write_rgba


def release_bank(folder, **options):
    """The bank of a release in a folder."""
    config = {"type": "release", "root": str(folder / "segments"), "metadata": str(folder / "metadata.json")}
    return build_bank({**config, **options})


@pytest.fixture
def copied(release, tmp_path):
    """The release's folder and a copy of it elsewhere, with other times."""
    copy = tmp_path / "else where" / "é"
    copy.mkdir(parents=True)
    shutil.copytree(release[0], copy / "segments")
    shutil.copy(release[1], copy)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
    return tmp_path, copy


def indexed(folder, name="bank.arrow", copies=()):
    """A bank over an index that is made of the release in a folder."""
    build_index(release_bank(folder).records, folder / name, copies=copies, progress=False)
    return SegmentBank.from_index(folder / name)


def test_the_same_elsewhere_is_the_same(copied):
    first, second = (release_bank(folder).fingerprint for folder in copied)
    assert first == second
    assert len(first) == 64
    assert int(first, 16)
    # An index says the same as the list that it was made of, and a measured list as one that was not.
    assert [indexed(folder).fingerprint for folder in copied] == [first, first]
    assert release_bank(copied[0], broken="skip").fingerprint == first
    mixes = [{"type": "mix", "banks": [bank_config(folder), {"type": "sample"}]} for folder in copied]
    assert len({build_bank(mix).fingerprint for mix in mixes}) == 1


def bank_config(folder):
    """What describes the bank of a release."""
    return {"type": "release", "root": str(folder / "segments"), "metadata": str(folder / "metadata.json")}


def append(path):
    """Makes a file a byte longer."""
    path.write_bytes(path.read_bytes() + b"x")


def rename(path):
    path.rename(path.with_name("new name.png"))


def say_more(key, value):
    """Changes the metadata."""

    def change(path):
        metadata = path.parents[3] / "metadata.json"
        words = json.loads(metadata.read_text())
        words["dog_small_dog"][key] = value
        metadata.write_text(json.dumps(words))

    return change


CHANGES = {
    "size": append,
    "name": rename,
    "gone": lambda path: path.unlink(),
    "phrase": say_more("short_phrase", "a tiny dog"),
    "description": say_more("description", "Another one."),
    "attributes": say_more("features", ["small", "whole", "wet"]),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_seen(copied, kind):
    before, _ = (release_bank(folder).fingerprint for folder in copied)
    CHANGES[kind](copied[1] / "segments" / "dog" / "small_dog" / "0.png")
    assert release_bank(copied[1]).fingerprint != before
    assert indexed(copied[1]).fingerprint == release_bank(copied[1]).fingerprint


def test_what_is_chosen_and_weighed_is_seen(copied):
    folder, other = copied
    areas = sorted(record.measurements.area for record in indexed(folder).records)
    for make in (release_bank, indexed):
        whole = make(folder)
        banks = [
            whole,
            whole.select(Filters(area=(areas[1], 1e9))),
            whole.select(Filters(area=(areas[2], 1e9))),
            whole.select(vocabulary=["dog"]),
            whole.select(attributes=["red"]),
            whole.weighted({"dog": 3}),
            whole.weighted({"dog": 4}),
            build_bank({"type": "mix", "banks": [bank_config(folder), bank_config(other)], "weights": [1, 2]}),
            build_bank({"type": "mix", "banks": [bank_config(folder), bank_config(other)], "weights": [1, 3]}),
        ]
        assert len({bank.fingerprint for bank in banks}) == len(banks)
        again = make(other).select(Filters(area=(areas[1], 1e9)))
        assert again.fingerprint == banks[1].fingerprint
        # A filter that everything passes changes nothing.
        assert whole.select(vocabulary=["dog", "apple"]).select(vocabulary=["dog"]).fingerprint == banks[3].fingerprint


def test_copies_are_seen_but_not_their_bytes(copied):
    first, second = (indexed(folder, "b.arrow", (20, 50)) for folder in copied)
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != indexed(copied[0]).fingerprint
    assert first.fingerprint != indexed(copied[0], "c.arrow", (20,)).fingerprint


def test_source_sizes_are_seen(copied, tmp_path):
    records = release_bank(copied[0]).records
    sized = [replace(record, source_size=(300, 400)) for record in records]
    other = [replace(record, source_size=(300, 401)) for record in records]
    assert len({SegmentBank(each).fingerprint for each in (records, sized, other)}) == 3
    build_index(sized, tmp_path / "sized.arrow", progress=False)
    assert SegmentBank.from_index(tmp_path / "sized.arrow").fingerprint == SegmentBank(sized).fingerprint


def test_places_in_shards_and_missing_files(tmp_path, rng):
    write_rgba(tmp_path / "files" / "a" / "1.png", make_rgba(rng, 20, 20))
    bank = SegmentBank(read_folder(tmp_path / "files"))
    (tmp_path / "files" / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a/1\.png does not exist"):
        _ = bank.fingerprint


def test_an_index_has_it_ready(copied, monkeypatch):
    bank = indexed(copied[0])
    monkeypatch.setattr(IndexedRecords, "__getitem__", None)
    shutil.rmtree(copied[0] / "segments")
    assert bank.fingerprint == release_bank(copied[1]).fingerprint


def test_groups_of_the_sample_differ():
    assert len({SegmentBank.sample_bank(group).fingerprint for group in ("train", "held_out", "all")}) == 3
