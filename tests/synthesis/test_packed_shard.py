"""Shards that were sent from one folder to another."""

import pickle

import pytest

from sos_mm.formats.composed import WORK
from sos_mm.synthesis import Recipe
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.packed_shard import PackedShard
from sos_mm.synthesis.shards import is_intact, shard_folder
from tests.synthesis.test_synthesis import folder_hash

RECIPE = Recipe(canvas=(48, 64), backgrounds={"type": "gradient"}, formats=["coco", "panoptic", "webdataset"])


def test_the_same_files(tmp_path):
    made, sent = tmp_path / "made", tmp_path / "sent"
    for folder in (made, sent):
        (folder / WORK).mkdir(parents=True)
    ShardMaker(RECIPE, 0).make(made, 4, range(8, 10))
    shard = pickle.loads(pickle.dumps(PackedShard.read(made, 4)))
    assert shard.write(sent) == shard.images == 2
    assert folder_hash(sent) == folder_hash(made)
    assert is_intact(sent, 4)
    assert any("/" in name for name, _ in shard.files)
    assert sum(size for _, size in shard.files) == shard.content.nbytes


def test_what_cannot_be_written_is_no_shard(tmp_path):
    (tmp_path / WORK).mkdir()
    ShardMaker(RECIPE, 0).make(tmp_path, 0, range(1))
    shard = PackedShard.read(tmp_path, 0)
    longer = PackedShard(1, 1, [*shard.files, ("n" * 300, 0)], shard.content)
    with pytest.raises(OSError, match="too long"):
        longer.write(tmp_path)
    assert not shard_folder(tmp_path, 1).exists()
