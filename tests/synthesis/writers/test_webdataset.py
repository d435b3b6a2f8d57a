"""WebDataset: tar files that the webdataset library and tar read, the same bytes always; samples equal the scenes."""

import hashlib
import json
import tarfile
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from sos_mm.formats.webdataset import tar_of
from sos_mm.synthesis import Recipe, reproduce, synthesize
from tests.helpers.composed import SEED, VOCABULARY, Composed, category_id, check_object
from tests.synthesis.test_synthesis import folder_hash

TARS = ["000000.tar", "000001.tar", "000002.tar"]
needs_library = pytest.mark.skipif(find_spec("webdataset") is None, reason="webdataset is not installed")


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("webdataset"), formats=["webdataset"])


@needs_library
def test_read_by_the_library(composed):
    import webdataset
    from pycocotools import mask as mask_tools

    urls = [composed.path(f"webdataset/{name}") for name in TARS]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [each["__key__"] for each in samples] == [f"{index:08d}" for index in range(len(composed.scenes))]
    names = composed.json("webdataset/index.json")["categories"]
    assert names == [name for name, _ in sorted(VOCABULARY.items(), key=lambda item: item[1])]
    for sample, scene in zip(samples, composed.scenes, strict=True):
        assert sample["jpg"].shape == scene.image.shape
        assert np.abs(sample["jpg"].astype(int) - scene.image).mean() < 6
        told = sample["json"]
        assert (told["height"], told["width"]) == scene.size
        assert told["file_name"] == sample["__key__"] + ".jpg"
        assert len(told["objects"]) == len(scene.objects)
        for place, (each, known) in enumerate(zip(told["objects"], scene.objects, strict=True)):
            check_object(scene, place, mask_tools.decode(each["segmentation"]), each["box"], each["area"])
            assert each["category_id"] == category_id(known.category)
            assert VOCABULARY[each["category"]] == VOCABULARY[names[each["label"]]] == each["category_id"]
            assert (each["phrase"], each["visible_share"]) == (known.phrase, known.visible_share)
        for each, region in zip(told["ignored"], scene.ignored, strict=True):
            x0, y0, x1, y1 = each["box"]
            np.testing.assert_array_equal(mask_tools.decode(each["segmentation"])[y0:y1, x0:x1], region.mask)
    assert any(sample["json"]["ignored"] for sample in samples)


def test_files(composed):
    out = composed.out
    assert sorted(path.name for path in out.iterdir()) == ["checksums.sha256", "manifest.json", "webdataset"]
    index = composed.json("webdataset/index.json")
    sizes = [(out / "webdataset" / name).stat().st_size for name in TARS]
    listed = [dict(url=name, nsamples=n, filesize=m) for name, n, m in zip(TARS, (5, 5, 2), sizes, strict=True)]
    assert index["shardlist"] == listed
    for name in TARS:
        with tarfile.open(out / "webdataset" / name) as tar:
            members = tar.getmembers()
        facts = {(each.mtime, each.uid, each.gid, each.uname, each.gname, each.mode, each.isreg()) for each in members}
        assert facts == {(0, 0, 0, "", "", 0o644, True)}
        names = [each.name for each in members]
        assert names == sorted(names, key=lambda name: (name.split(".")[0], name.endswith("json")))
    # Byte by byte: the head of the first member, as POSIX describes it.
    head = (out / "webdataset/000000.tar").read_bytes()[:512]
    assert head[:12] == b"00000000.jpg"
    assert head[100:124] == b"0000644\x000000000\x000000000\x00"
    assert (head[136:148], head[257:265]) == (b"00000000000\x00", b"ustar\x0000")
    sums = dict(reversed(line.split("  ")) for line in (out / "checksums.sha256").read_text().splitlines())
    assert list(sums) == [f"webdataset/{name}" for name in (*TARS, "index.json")]
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256 for name, sha256 in sums.items())


def test_same_bytes_with_any_workers(composed, tmp_path):
    synthesize(composed.recipe, tmp_path / "two", 12, seed=SEED, shard_size=5, workers=2, progress=False)
    assert folder_hash(tmp_path / "two") == folder_hash(composed.out)


def test_beside_other_formats(composed, tmp_path):
    """The images are there twice, the same ones."""
    recipe = Recipe.from_dict({**composed.recipe.to_dict(), "formats": ["coco", "webdataset"], "image_format": "png"})
    synthesize(recipe, tmp_path / "out", 3, seed=SEED, shard_size=2, progress=False, merge="none")
    assert json.loads((tmp_path / "out/webdataset/index.json").read_text())["shardlist"][1]["nsamples"] == 1
    with tarfile.open(tmp_path / "out/webdataset/000001.tar") as tar:
        content = tar.extractfile("00000002.png").read()
    assert content == (tmp_path / "out/images/00000002.png").read_bytes()
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(pixels, composed.scenes[2].image)


def reproduce_all(out, indices):
    for index in indices:
        reproduce(out, index)


def test_reproduce(composed):
    for index in (0, 4, 5, 11):
        assert reproduce(composed.out, index).size == composed.recipe.canvas
    path = composed.out / "webdataset/000001.tar"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"visible_share":1.0', b'"visible_share":0.9', 1))
    with pytest.raises(ValueError, match=r"webdataset: 000000\d\d.json"):
        reproduce_all(composed.out, range(5, 10))
    path.write_bytes(b"no tar")
    with pytest.raises(ValueError, match="must be a tar file, but cannot be read"):
        reproduce(composed.out, 5)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "must have a list of JSON objects as `shardlist`"),
        ('{"shardlist": [{"url": "000000.tar", "nsamples": -1, "filesize": 5}]}', "an integer over 0"),
        ('{"shardlist": [{"url": "000000.tar", "nsamples": 2, "filesize": 5}]}', "must list a tar file of sample 2"),
    ],
)
def test_broken_lists(tmp_path, content, message):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        tar_of(tmp_path, 2)
