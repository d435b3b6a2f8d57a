"""The reader of Parquet files: the released columns, other data sets of the hub, faulty rows and files."""

import io
import json
import tarfile
from types import SimpleNamespace

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sos_mm.cli import main
from sos_mm.errors import ErrorCollector
from sos_mm.segments import build_bank, read_parquet, read_tar
from tests.conftest import make_rgba

WORDS = {
    "category": "apple",
    "sub_category": "red_apple",
    "description": "A red apple on its own.",
    "features": "red, round",
    "short_phrase": "a red apple",
}
FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """An image file of (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA pixels."""
    codes = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    code = codes[2 if pixels.ndim == 2 else pixels.shape[2]]
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    return cv2.imencode(suffix, pixels if code is None else cv2.cvtColor(pixels, code), options)[1].tobytes()


def struct(content: bytes | None, path: str = "x.png") -> dict:
    return {"bytes": content, "path": path}


def write(path, rows, kinds=None, metadata=None, **options):
    """A Parquet file of these rows; `kinds` gives types of columns."""
    kinds = {"image_path": FILE, **(kinds or {})}
    columns = {name: pa.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    table = pa.table(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path, **options)
    return path


@pytest.fixture
def images(rng):
    return [make_rgba(rng, 40 + 5 * index, 30) for index in range(5)]


@pytest.fixture
def small_set(tmp_path, images):
    """Two files with the columns of the released small set."""
    rows = [{"image_path": struct(encoded(rgba)), **WORDS} for rgba in images]
    rows[1]["image_path"] = struct(encoded(images[1], ".webp"))
    write(tmp_path / "set" / "train-00000-of-00002.parquet", rows[:3], row_group_size=2)
    write(tmp_path / "set" / "train-00001-of-00002.parquet", rows[3:])
    return tmp_path / "set"


def test_the_released_columns_need_no_options(small_set, images):
    records = read_parquet(small_set)
    ids = [f"train-00000-of-00002/{row:06d}" for row in range(3)]
    assert [record.source_id for record in records] == ids + [f"train-00001-of-00002/{row:06d}" for row in range(2)]
    for record, rgba in zip(records, images, strict=True):
        # WebP does not keep colours that are fully transparent.
        shown = rgba[..., 3:] > 0
        np.testing.assert_array_equal(record.pixels() * shown, rgba * shown)
        said = (record.category, record.sub_category, record.phrase, record.description, record.attributes)
        assert said == ("apple", "red_apple", "a red apple", "A red apple on its own.", ("red", "round"))


def test_files_are_a_folder_a_pattern_or_a_list(small_set):
    whole = read_parquet(small_set)
    assert read_parquet(str(small_set / "train-*.parquet")) == whole
    assert read_parquet(sorted(small_set.glob("*.parquet"))) == whole
    assert read_parquet(small_set / "train-00001-of-00002.parquet") == whole[3:]
    with pytest.raises(FileNotFoundError, match=r"none at .*test-\*\.parquet"):
        read_parquet(str(small_set / "test-*.parquet"))
    with pytest.raises(FileNotFoundError, match=r"none at .*gone\.parquet"):
        read_parquet([small_set / "gone.parquet"])


def test_shards_are_tar_files_that_are_made_once(small_set, tmp_path):
    records = read_parquet(small_set)
    shards = sorted(small_set.glob("*.tar"))
    assert len(shards) == 2
    assert read_tar(shards) == records
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in shards]
    assert read_parquet(small_set) == records
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in shards] == before
    # Elsewhere they are the same bytes under the same names, and the bank the same.
    read_parquet(small_set, cutouts=tmp_path / "elsewhere")
    assert [(path.name, path.read_bytes()) for path in sorted((tmp_path / "elsewhere").iterdir())] == [
        (path.name, content) for path, (content, _) in zip(shards, before, strict=True)
    ]
    config = {"type": "parquet", "files": str(small_set)}
    moved = build_bank({**config, "cutouts": str(tmp_path / "elsewhere")})
    assert build_bank(config).fingerprint == moved.fingerprint


def test_a_changed_file_gets_a_new_shard(small_set, images):
    path = small_set / "train-00000-of-00002.parquet"
    read_parquet(path)
    write(path, [{"image_path": struct(encoded(images[4])), **WORDS}])
    (record,) = read_parquet(path)
    np.testing.assert_array_equal(record.pixels(), images[4])


def test_an_index_over_it_draws_the_same_segments(small_set, tmp_path, images, capsys):
    index = tmp_path / "bank.arrow"
    main(["index", str(index), "type=parquet", f"files={small_set}", "--copies", "16"])
    assert "5 segments in 1 categories, 0 skipped" in capsys.readouterr().out
    bank = build_bank({"type": "index", "path": str(index)})
    loaded = build_bank({"type": "parquet", "files": str(small_set)})
    for row in range(5):
        np.testing.assert_array_equal(bank.load(row).rgba, loaded.load(row).rgba)
        assert bank.load(row).attributes == ("red", "round")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("ones", [True, False])
def test_masks_become_alpha(tmp_path, rng, binary, ones):
    """A set as others publish it: JPEG images, masks in a column of their own, numbers for the categories."""
    rgb = cv2.GaussianBlur(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8), (0, 0), 3)
    mask = (make_rgba(rng, 40, 30)[..., 3] >= 128).astype(np.uint8)
    image, alpha = encoded(rgb, ".jpg"), encoded(mask if ones else mask * 255)
    row = {"image": image if binary else struct(image), "mask": alpha if binary else struct(alpha), "label": 1}
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    metadata = {"huggingface": json.dumps(features)}
    path = write(tmp_path / "a.parquet", [row], None if binary else {"image": FILE, "mask": FILE}, metadata)
    (record,) = read_parquet(path, image="image", mask="mask", category="label")
    assert (record.category, record.phrase, record.sub_category) == ("dog", "dog", "")
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(record.pixels(), np.dstack([expected, mask * 255]))


def test_soft_masks_stay_soft(tmp_path, images):
    row = {"image_path": struct(encoded(images[0][..., :3])), "alpha": encoded(images[0][..., 3]), **WORDS}
    (record,) = read_parquet(write(tmp_path / "a.parquet", [row]), mask="alpha")
    np.testing.assert_array_equal(record.pixels(), images[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("red; round ,shiny", ("red", "round", "shiny")),
        ('["red", "round, shiny"]', ("red", "round, shiny")),
        ("['it''s red']", ("its red",)),
        ("[broken", ("[broken",)),
        ("", ()),
        (None, ()),
    ],
)
def test_forms_of_features(tmp_path, images, value, expected):
    row = {"image_path": struct(encoded(images[0])), **WORDS, "features": value}
    path = write(tmp_path / "a.parquet", [row], {"features": pa.string()})
    assert read_parquet(path)[0].attributes == expected


def test_features_may_be_lists(tmp_path, images):
    row = {"image_path": struct(encoded(images[0])), "kind": "apple", "words": ["red", "round"]}
    (record,) = read_parquet(write(tmp_path / "a.parquet", [row]), category="kind", features="words")
    assert (record.attributes, record.category, record.description) == (("red", "round"), "apple", "")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image_path": struct(encoded(np.zeros((9, 9, 3), np.uint8)))}, r"row 1 of .*a\.parquet .* `mask`, or cut"),
        ({"image_path": struct(encoded(np.zeros((9, 9), np.uint8)))}, r"row 1 of .*a\.parquet .* `mask`, or cut"),
        ({"image_path": struct(encoded(np.zeros((9, 9, 3), np.uint8), ".jpg"))}, "an alpha channel, but has none"),
        ({"image_path": struct(b"not an image")}, "an alpha channel, but has none"),
        ({"image_path": struct(None, "a/b.png")}, r"'image_path' of row 1 .* only the path 'a/b\.png': embed"),
        ({"image_path": None}, r"'image_path' of row 1 .* holds nothing"),
        ({"category": None}, r"category of row 1 of .*a\.parquet must be a text, but got None"),
        ({"category": ""}, "category of row 1 .* but got ''"),
    ],
)
def test_faulty_rows_are_named_or_skipped(tmp_path, images, change, match):
    rows = [{"image_path": struct(encoded(rgba)), **WORDS} for rgba in images[:3]]
    rows[1].update(change)
    path = write(tmp_path / "a.parquet", rows)
    with pytest.raises(ValueError, match=match):
        read_parquet(path)
    assert not list(tmp_path.glob("*.tar"))
    # The second time the shard exists: what was left out is told again.
    for _ in range(2):
        faults = ErrorCollector("skip")
        records = read_parquet(path, faults=faults)
        assert [record.source_id for record in records] == ["a/000000", "a/000002"]
        assert len(faults.texts) == 1
    with pytest.raises(ValueError, match=match):
        read_parquet(path)
    bank = build_bank({"type": "parquet", "files": str(path), "broken": "skip"})
    assert (len(bank), sum(bank.skipped.values())) == (2, 1)


def test_what_only_decoding_shows_names_the_row(tmp_path, images):
    """As for the other readers, pixels are decoded later."""
    rows = [{"image_path": struct(encoded(rgba)), **WORDS} for rgba in images[:3]]
    rows[1]["image_path"] = struct(encoded(images[1])[:300])
    transparent = np.zeros((9, 9, 4), np.uint8)
    rows[2]["image_path"] = struct(encoded(transparent))
    path = write(tmp_path / "a.parquet", rows)
    records = read_parquet(path)
    with pytest.raises(ValueError, match=r"a/000001\) \(300 bytes\) cannot be decoded"):
        records[1].read()
    with pytest.raises(ValueError, match=r"a/000002\) cannot be used: .* fully transparent"):
        records[2].read()
    bank = build_bank({"type": "parquet", "files": str(path), "broken": "skip"})
    assert bank.skipped == {"cannot be decoded": 1, "nothing opaque in it": 1}


def test_no_usable_row_is_an_error(tmp_path, rng):
    rows = [{"image_path": struct(encoded(make_rgba(rng, 9, 9)[..., :3])), **WORDS}]
    path = write(tmp_path / "a.parquet", rows)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a\.parquet must hold rows that can be used, .*: The image in row 0"):
            read_parquet(path, faults=ErrorCollector("skip"))


def test_masks_of_another_size_or_kind(tmp_path, images):
    row = {"image_path": struct(encoded(images[0][..., :3])), "mask": encoded(images[1][..., 3]), **WORDS}
    with pytest.raises(ValueError, match=r"mask in row 0 of .* same size, but are 30x40 and 30x45"):
        read_parquet(write(tmp_path / "a.parquet", [row]), mask="mask")
    row["mask"] = b"nothing"
    with pytest.raises(ValueError, match=r"mask in row 0 of .*b\.parquet \(7 bytes\) cannot be decoded"):
        read_parquet(write(tmp_path / "b.parquet", [row]), mask="mask")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"image": "picture"}, r"`image` must be a column of .*'image_path', 'category'.* but got 'picture'"),
        ({"mask": "mask"}, "`mask` must be a column of .* but got 'mask'"),
        ({"phrase": "caption"}, "`phrase` must be a column of .* but got 'caption'"),
        ({"image": "category"}, "`image` must be a column of image files .* but 'category' of .* is of type string"),
    ],
)
def test_unknown_columns_are_named(small_set, options, match):
    with pytest.raises(ValueError, match=match):
        read_parquet(small_set, **options)


def test_numbers_without_names_are_no_categories(tmp_path, images):
    path = write(tmp_path / "a.parquet", [{"image_path": struct(encoded(images[0])), "category": 3}])
    with pytest.raises(ValueError, match="must be a text, but got 3: name its column"):
        read_parquet(path)


def test_damaged_files_are_named(small_set, tmp_path):
    whole = (small_set / "train-00000-of-00002.parquet").read_bytes()
    for name, content in {"empty": b"", "cut": whole[: len(whole) // 2], "other": b"PNG" * 100}.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.parquet must be a complete Parquet file"):
            read_parquet(path)
    middle = tmp_path / "middle.parquet"
    middle.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    with pytest.raises(ValueError, match=r"middle\.parquet is damaged after row 0"):
        read_parquet(middle)
    assert not list(tmp_path.glob("*.tar"))


def test_a_damaged_shard_says_what_to_do(small_set):
    read_parquet(small_set)
    shard = sorted(small_set.glob("*.tar"))[0]
    shard.write_bytes(shard.read_bytes()[:2048])
    with pytest.raises(ValueError, match=r"\.tar is damaged .*: remove it, and it is made anew"):
        read_parquet(small_set)
    shard.unlink()
    assert len(read_parquet(small_set)) == 5


def test_a_folder_that_cannot_be_written_names_the_option(small_set, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"cut-outs \(`cutouts`\) must be a folder"):
        read_parquet(small_set, cutouts=tmp_path / "file")


def test_too_little_space_is_named_with_figures(small_set, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    size = (small_set / "train-00000-of-00002.parquet").stat().st_size
    with pytest.raises(
        OSError, match=rf"Copying the cut-outs of .*parquet needs {size / 1000:.1f} kB .* 100 B are free"
    ):
        read_parquet(small_set)


def test_rows_are_written_in_batches(tmp_path, images):
    """More rows than a batch holds, in row groups that do not divide it."""
    rows = [{"image_path": struct(encoded(images[row % 5])), **WORDS} for row in range(150)]
    records = read_parquet(write(tmp_path / "a.parquet", rows, row_group_size=47))
    for row in (0, 63, 64, 127, 128, 149):
        assert records[row].source_id == f"a/{row:06d}"
        np.testing.assert_array_equal(records[row].pixels(), images[row % 5])


def test_the_shard_has_the_texts_beside_the_images(small_set):
    read_parquet(small_set)
    with tarfile.open(sorted(small_set.glob("*.tar"))[0]) as shard:
        assert shard.getnames()[:4] == [
            f"train-00000-of-00002/{name}" for name in ("000000.png", "000000.json", "000001.webp", "000001.json")
        ]
        words = json.load(io.BytesIO(shard.extractfile(shard.getnames()[1]).read()))
    assert words == {**WORDS, "features": ["red", "round"]}
