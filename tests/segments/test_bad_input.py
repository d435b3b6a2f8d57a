"""Every kind of bad input to a bank: named in clear words, skipped and counted by option, and nothing lost."""

import io
import json
import os
import struct
import tarfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from sos_mm.checks import FaultyInputError
from sos_mm.errors import ErrorCollector
from sos_mm.images import read_image
from sos_mm.segments import MixedBank, SegmentBank, build_bank, build_index, read_annotated, read_folder, read_tar
from sos_mm.segments.index.arrow import IndexedRecords
from tests.conftest import make_rgba, write_rgba


def square(height=8, width=8):
    """An opaque red square on transparent ground."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[2:6, 2:6] = (200, 30, 30, 255)
    return rgba


def pillow(convert, kind, **options):
    """Writes an image that Pillow converts."""

    def write(path):
        image = pytest.importorskip("PIL.Image")
        convert(image.fromarray(square())).save(path, kind, **options)

    return write


def cut(kind, keep):
    """Writes the first part of a file of that kind."""

    def write(path):
        pixels = cv2.cvtColor(make_rgba(np.random.default_rng(0), 60, 60), cv2.COLOR_RGBA2BGRA)
        data = cv2.imencode(kind, pixels)[1].tobytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return write


def enormous(path):
    """A PNG whose header says that it is 900,000 pixels wide and high."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 900_000, 900_000, 8, 6, 0, 0, 0)
    data = bytearray(cv2.imencode(".png", square())[1].tobytes())
    data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(data)


# What spoils a cut-out, the reason it is counted under, and what the message says.
BROKEN = {
    "truncated PNG": (cut(".png", 0.6), "cannot be decoded", "replace or remove it"),
    "PNG without its end": (cut(".png", 0.99), "cannot be decoded", "replace or remove it"),
    "truncated WebP": (cut(".webp", 0.6), "cannot be decoded", "replace or remove it"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be decoded", r"\(0 bytes\) .* replace or remove it"),
    "text": (lambda path: path.write_text("hello"), "cannot be decoded", "replace or remove it"),
    "gone": (lambda path: (path.unlink(), path.symlink_to("nowhere.png")), "missing file", "does not exist"),
    "RGB": (lambda path: cv2.imwrite(str(path), square()[..., :3]), "no alpha channel", "cut the object out"),
    "grey": (lambda path: cv2.imwrite(str(path), square()[..., 0]), "no alpha channel", "cut the object out"),
    "16-bit": (
        lambda path: cv2.imwrite(str(path), square().astype(np.uint16) * 257),
        "not 8-bit",
        "save it with 8 bits a channel",
    ),
    "palette": (pillow(lambda image: image.convert("RGB").quantize(4), "PNG"), "no alpha channel", "alpha channel"),
    "CMYK JPEG": (pillow(lambda image: image.convert("RGB").convert("CMYK"), "JPEG"), "not PNG or WebP", "with alpha"),
    "CMYK TIFF": (pillow(lambda image: image.convert("RGB").convert("CMYK"), "TIFF"), "not PNG or WebP", "with alpha"),
    "transparent": (
        lambda path: write_rgba(path, np.zeros((8, 8, 4), np.uint8)),
        "nothing opaque in it",
        "fully transparent image.*Replace or remove it",
    ),
    "faint": (lambda path: write_rgba(path, square() // 2), "nothing opaque in it", "alpha of at most 127"),
    "enormous": (enormous, "too large", "make it smaller"),
}
NAME = "hot dog/ein groß es.png"


@pytest.fixture
def folder(tmp_path, rng):
    """A folder of categories; one name has a space and a letter that is not ASCII."""
    for name in (NAME, "hot dog/2.png", "äpfel/1.png"):
        write_rgba(tmp_path / "files" / name, make_rgba(rng, 30, 20))
    return tmp_path / "files"


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_cut_outs(folder, tmp_path, kind):
    spoil, reason, match = BROKEN[kind]
    path, index = folder / NAME, tmp_path / "bank.arrow"
    build_index(read_folder(folder), index, copies=(10, 30), progress=False)
    before = contents(tmp_path)
    spoil(path)
    config = {"type": "folder", "root": str(folder), "filters": {"area": (1, 1e9)}}
    for fails in (
        lambda: build_bank(config),
        lambda: build_index(read_folder(folder), index, copies=(10, 30), progress=False),
        lambda: SegmentBank(read_folder(folder)).select(vocabulary=["hot dog"]).load(1),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=f"(?s){match}") as caught:
            fails()
        assert str(path) in str(caught.value)
    assert contents(tmp_path) == before
    bank = build_bank({**config, "broken": "skip"})
    assert (len(bank), bank.skipped) == (2, {reason: 1})
    assert len(bank.faults) == 1
    assert str(path) in bank.faults[0]
    faults = ErrorCollector("skip")
    build_index(read_folder(folder), index, copies=(10, 30), faults=faults, progress=False)
    indexed = SegmentBank.from_index(index)
    assert (len(indexed), indexed.skipped, dict(faults.counts)) == (2, {reason: 1}, {reason: 1})
    assert indexed.select(vocabulary=["hot dog"]).skipped == {reason: 1}
    assert MixedBank([bank, indexed]).skipped == {reason: 2}


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without those of folders in it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_palette_with_transparency_is_read(folder):
    """Its pixels are those that Pillow makes of it."""
    image = pytest.importorskip("PIL.Image")
    palette = image.fromarray(square()).quantize(4, method=image.Quantize.FASTOCTREE)
    assert palette.mode == "P"
    palette.save(folder / NAME, "PNG")
    expected = np.asarray(image.open(folder / NAME).convert("RGBA"))
    assert expected[..., 3].min() == 0
    read = read_image(folder / NAME, 4)
    np.testing.assert_array_equal(read[..., 3], expected[..., 3])
    shown = expected[..., 3] > 0
    np.testing.assert_array_equal(read[shown], expected[shown])


@pytest.mark.parametrize("shape", [(1, 1), (2, 20_000), (20_000, 3)])
def test_odd_sizes_work(folder, tmp_path, shape):
    rgba = np.full((*shape, 4), 255, np.uint8)
    write_rgba(folder / NAME, rgba)
    build_index(read_folder(folder), tmp_path / "bank.arrow", copies=(10, 64), progress=False)
    bank = SegmentBank.from_index(tmp_path / "bank.arrow").select(vocabulary=["hot_dog"])
    assert bank.info(1).size == shape
    assert (
        bank.records[1].measurements.height,
        bank.records[1].measurements.width,
        bank.records[1].measurements.area,
    ) == (
        *shape,
        shape[0] * shape[1],
    )
    np.testing.assert_array_equal(bank.load(1).rgba, rgba)
    small = bank.load(1, (1, 1))
    assert small.size == shape
    assert (small.rgba == 255).all()


@pytest.mark.parametrize("failing", ["at a row", "at the end"])
def test_a_full_disk_leaves_what_was_there(folder, tmp_path, monkeypatch, failing):
    index = tmp_path / "bank.arrow"
    build_index(read_folder(folder), index, copies=(10, 30), progress=False)
    before = contents(tmp_path)
    write_rgba(folder / NAME, square())

    def full(*_):
        raise OSError(28, "No space left on device")

    names = {"at a row": "sos_mm.segments.index.writer.IndexWriter.add", "at the end": "os.fsync"}
    monkeypatch.setattr(names[failing], full)
    with pytest.raises(OSError, match="No space left"):
        build_index(read_folder(folder), index, copies=(10, 30), progress=False)
    assert contents(tmp_path) == before
    monkeypatch.undo()
    build_index(read_folder(folder), index, copies=(10, 30), progress=False)
    assert len(contents(tmp_path)) == len(before) == 2
    assert SegmentBank.from_index(index).load(1, (4, 4)).rgba.shape == (4, 4, 4)


def test_a_rebuild_in_which_all_are_broken_leaves_what_was_there(folder, tmp_path):
    build_index(read_folder(folder), tmp_path / "bank.arrow", copies=(10,), progress=False)
    before = contents(tmp_path)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"bank\.arrow must hold at least one segment, but all 3 are broken"):
        build_index(
            read_folder(folder), tmp_path / "bank.arrow", copies=(10,), faults=ErrorCollector("skip"), progress=False
        )
    assert contents(tmp_path) == before
    with pytest.raises(ValueError, match="but there is none"):
        build_index([], tmp_path / "bank.arrow", progress=False)


@pytest.mark.parametrize("content", [b"", b"{}", None, "arrow"])
def test_only_an_index_is_replaced(folder, tmp_path, content):
    """A metadata file, an image or a folder that was named by mistake stays, and is told before anything is read."""
    path = tmp_path / "words.json"
    if content is None:
        path.mkdir()
    elif content == "arrow":
        pa.ipc.new_file(str(path), pa.schema([("x", pa.int8())])).close()
    else:
        path.write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"words\.json must be a new file or an index to replace, but is neither"):
        build_index(read_folder(folder), path, progress=False)
    assert contents(tmp_path) == before


def test_copies_that_are_gone_cut_short_or_damaged(folder, tmp_path):
    index = tmp_path / "bank.arrow"
    build_index(read_folder(folder), index, copies=(10,), progress=False)
    pack = IndexedRecords(index).pack
    data = pack.read_bytes()
    pack.write_bytes(b"\xff" * len(data))
    with pytest.raises(FaultyInputError, match=r"bank\.\w+\.copies is damaged .*: make the index anew"):
        SegmentBank.from_index(index).load(0, (1, 1))
    pack.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"bank\.\w+\.copies have .* bytes, but must have .*: copy the file again"):
        SegmentBank.from_index(index)
    pack.unlink()
    with pytest.raises(FileNotFoundError, match=r"bank\.\w+\.copies do not exist: move them along"):
        SegmentBank.from_index(index)


@pytest.mark.parametrize("copies", [(30, 10), (10, 10), (4,), (9999,)])
def test_copies_must_be_rising_sides(folder, tmp_path, copies):
    with pytest.raises(ValueError, match="`copies` must be"):
        build_index(read_folder(folder), tmp_path / "bank.arrow", copies=copies)
    assert not contents(tmp_path)


# Files of a tar shard beside a good one, the reason, and what the message says.
PNG = cv2.imencode(".png", square())[1].tobytes()
TARS = {
    "leads out": ({"../b/ü x.png": PNG}, "name leads out of its folder", r"'\.\./b/ü x' .*: rename it"),
    "leads out in the middle": ({"a/../../b.png": PNG}, "name leads out of its folder", "rename it"),
    "absolute": ({"/a/b.png": PNG}, "name leads out of its folder", "rename it"),
    "no category": ({"b.png": PNG}, "no category", r"put it in b\.json or in a folder"),
    "empty": ({"a/b.png": b""}, "cannot be decoded", r"'a/b' .*\(0 bytes\): remove it"),
    "no JSON": ({"a/b.png": PNG, "a/b.json": b"{"}, "faulty metadata", r"a/b\.json .* must be JSON.* Correct it"),
    "no object": ({"a/b.png": PNG, "a/b.json": b"[]"}, "faulty metadata", "must be a JSON object"),
    "words of another kind": (
        {"a/b.png": PNG, "a/b.json": b'{"short_phrase": 3}'},
        "faulty metadata",
        r"`short_phrase` of a/b\.json .* must be text",
    ),
    "twice": (
        {"a/b.png": PNG, "a/b.webp": PNG},
        "id that is there twice",
        r"'a/b' is that of both .*: rename or remove one",
    ),
    "twice in two": ({"good/1.png": PNG}, "id that is there twice", "'good/1' .*: rename or remove one"),
}


@pytest.mark.parametrize("kind", TARS)
def test_faulty_tar_members(tmp_path, kind):
    files, reason, match = TARS[kind]
    for name, members in (("a good.tar", {"good/1.png": PNG}), ("süß.tar", files)):
        with tarfile.open(tmp_path / name, "w") as shard:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    shards = sorted(tmp_path.glob("*.tar"))
    with pytest.raises(FaultyInputError, match=match) as caught:
        read_tar(shards)
    assert "süß.tar" in str(caught.value)
    bank = build_bank({"type": "tar", "shards": str(tmp_path / "*.tar"), "broken": "skip"})
    assert (len(bank), bank.skipped) == (1 + (kind == "twice"), {reason: 1})
    assert bank.load(0).size == (4, 4)


def test_a_shard_cut_short(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        for name in ("a/1.png", "a/2.png"):
            data = cv2.imencode(".png", make_rgba(np.random.default_rng(0), 200, 200))[1].tobytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    whole = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(whole[: int(len(whole) * 0.7)])
    bank = build_bank({"type": "tar", "shards": str(tmp_path / "s.tar"), "broken": "skip"})
    assert len(bank) == 1
    assert bank.skipped == {"damaged shard": 1, "cannot be decoded": 1}
    assert "s.tar is cut short or damaged" in bank.faults[0]
    assert "a/2" in bank.faults[1]
    with pytest.raises(FaultyInputError, match=r"s\.tar is cut short .*: get it again"):
        read_tar(tmp_path / "s.tar")


@pytest.mark.parametrize("size", [2**40, 2**60])
def test_a_member_of_a_shard_that_claims_to_be_enormous(tmp_path, size):
    """Its size is neither allocated nor sought; a file cannot even be as long as the larger one."""
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        info = tarfile.TarInfo("a/1.png")
        info.size = len(PNG)
        shard.addfile(info, io.BytesIO(PNG))
    liar = tarfile.TarInfo("a/2.png")
    liar.size = size
    good = (tmp_path / "s.tar").read_bytes()[: 2 * tarfile.BLOCKSIZE]
    (tmp_path / "s.tar").write_bytes(good + liar.tobuf(tarfile.GNU_FORMAT) + PNG[:40])
    bank = build_bank({"type": "tar", "shards": str(tmp_path / "s.tar"), "broken": "skip"})
    assert (len(bank), bank.skipped) == (1, {"damaged shard": 1, "cannot be decoded": 1})
    assert bank.load(0).size == (4, 4)


def jpeg(thumbnail=False):
    """A JPEG file of 60x80 pixels; with another one in its header, as cameras write them."""
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    if thumbnail:
        inner = b"Exif\0\0" + cv2.imencode(".jpg", image[:8, :8])[1].tobytes()
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(inner) + 2) + inner + data[2:]
    return data


@pytest.mark.parametrize("thumbnail", [False, True])
@pytest.mark.parametrize("progressive", [False, True])
def test_photographs_cut_short(tmp_path, thumbnail, progressive):
    data = jpeg(thumbnail)
    if progressive:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    entry = {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [10, 10, 20, 14]}
    outline = [[10, 10, 30, 10, 30, 24, 10, 24]]
    photographs = [{"id": i, "file_name": f"{i} é.jpg", "height": 60, "width": 80} for i in (1, 2)]
    objects = [{**entry, "id": i, "image_id": i, "segmentation": outline} for i in (1, 2)]
    file = tmp_path / "instances.json"
    file.write_text(
        json.dumps({"images": photographs, "annotations": objects, "categories": [{"id": 1, "name": "dog"}]})
    )
    (tmp_path / "1 é.jpg").write_bytes(data + b"what a camera adds")
    for keep in (0.5, 0.9, 1 - 1 / len(data)):
        (tmp_path / "2 é.jpg").write_bytes(data[: int(len(data) * keep)])
        bank = SegmentBank(read_annotated(file, tmp_path, soften=0))
        assert bank.load(0).size == (14, 20)
        with pytest.raises(FaultyInputError, match=r"2 é\.jpg .* cannot be decoded: replace or remove it"):
            bank.load(1)
    options = {"type": "coco", "annotations": str(file), "images": str(tmp_path), "broken": "skip"}
    assert build_bank(options).skipped == {"cannot be decoded": 1}


def test_metadata_and_files_that_do_not_meet(release):
    root, metadata = release
    write_rgba(root / "dog" / "blue_dog" / "0.png", square())
    config = {"type": "release", "root": str(root), "metadata": str(metadata)}
    with pytest.raises(FaultyInputError, match=r"has no 'dog_blue_dog', the key of .*blue_dog/0\.png: add it"):
        build_bank(config)
    bank = build_bank({**config, "broken": "skip"})
    assert (len(bank), bank.skipped) == (6, {"no metadata": 1})
    assert "blue_dog" in bank.faults[0]
    words = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**words, "dog_blue_dog": {}, "cat_old_cat": {}}))
    with pytest.raises(ValueError, match=r"'cat_old_cat', but .* has no such segments: get the files, or pass"):
        build_bank(config)
    assert len(build_bank({**config, "allow_missing": True})) == 7


@pytest.mark.parametrize(
    "entry", [{"short_phrase": 3}, {"description": None}, {"features": 5}, {"features": [1]}, {"description": ["a"]}]
)
def test_metadata_of_another_kind(release, entry):
    root, metadata = release
    words = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**words, "dog_small_dog": {**words["dog_small_dog"], **entry}}))
    config = {"type": "release", "root": str(root), "metadata": str(metadata)}
    name = next(iter(entry))
    with pytest.raises(FaultyInputError, match=rf"`{name}` of 'dog_small_dog' in .*metadata\.json must be .*, but got"):
        build_bank(config)
    bank = build_bank({**config, "broken": "skip", "allow_missing": True})
    assert (len(bank), bank.skipped) == (4, {"faulty metadata": 2})


def test_nothing_left_or_unknown_words(folder, tmp_path):
    build_index(read_folder(folder), tmp_path / "bank.arrow", progress=False)
    for config in ({"type": "folder", "root": str(folder)}, {"type": "index", "path": str(tmp_path / "bank.arrow")}):
        with pytest.raises(
            ValueError, match=r"must keep at least one segment, but none of 3 passes filters.area=\(1000000"
        ):
            build_bank({**config, "filters": {"area": (1e6, 1e7)}})
        with pytest.raises(ValueError, match=r"names 'hot dgo', but the bank has no such .* nearest .* is 'hot dog'"):
            build_bank({**config, "vocabulary": ["hot dgo"]})
        with pytest.raises(ValueError, match=r"none of 3 passes attributes=\('purple'\)"):
            build_bank({**config, "attributes": ["purple"]})
        with pytest.raises(
            ValueError, match=r"must name categories of the bank, which has 'hot dog', 'äpfel', but got"
        ):
            build_bank({**config, "vocabulary": []})
        bank = build_bank(config)
        with pytest.raises(ValueError, match=r"The bank holds 'äpfel', but the vocabulary has no such category"):
            bank.category_ids("coco")
        assert len(bank.select(vocabulary="coco")) == 2


def test_an_unreadable_file_name(tmp_path):
    """A name whose bytes are no UTF-8, as old archives leave behind, cannot be in an index."""
    (tmp_path / "files" / "a").mkdir(parents=True)
    path = os.fsencode(tmp_path / "files" / "a") + b"/\xff.png"
    try:
        Path(os.fsdecode(path)).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system refuses such names")
    with pytest.raises(FaultyInputError, match=r"udcff.png' must be UTF-8, but is not: rename it"):
        read_folder(tmp_path / "files")
