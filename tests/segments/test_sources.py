"""Readers: annotated photographs, folders, tar shards, filter annotations."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as tools

from sos_mm.errors import ErrorCollector
from sos_mm.segments import build_bank, read_annotated, read_folder, read_release_layout, read_tar
from sos_mm.segments.rims import cut_out
from tests.conftest import make_rgba, write_rgba

SQUARE = [[10, 10, 30, 10, 30, 24, 10, 24]]


def annotation(id, **changes):
    """An object in the middle of photograph 1."""
    default = {"image_id": 1, "category_id": 18, "iscrowd": 0, "bbox": [10, 10, 20, 14], "segmentation": SQUARE}
    return {"id": id, **default, **changes}


@pytest.fixture
def photograph(tmp_path):
    """A folder with one photograph of 60x80 pixels, and a maker of annotation files for it."""
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert cv2.imwrite(str(folder / "a photo é.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def write(annotations, **image_changes):
        data = {
            "images": [{"id": 1, "file_name": "a photo é.png", "height": 60, "width": 80, **image_changes}],
            "annotations": annotations,
            "categories": [{"id": 18, "name": "dog", "def": "a pet"}, {"id": 77, "name": "cell phone"}],
        }
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(data))
        return path

    return image, folder, write


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 80), st.floats(0, 60)), min_size=3, max_size=8), st.sampled_from([0.0, 1.5]))
def test_cut_out_is_the_mask_of_pycocotools(points, soften):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    polygons = [[float(each) for point in points for each in point]]
    mask = tools.decode(tools.merge(tools.frPyObjects(polygons, 60, 80)))
    if not mask.any():
        with pytest.raises(ValueError, match="outline of it must hold pixels"):
            cut_out(image, polygons, soften, False, "it")
        return
    rgba = cut_out(image, polygons, soften, False, "it")
    solid = rgba[..., 3] >= 128
    rows, columns = np.nonzero(mask)
    found_rows, found_columns = np.nonzero(solid)
    np.testing.assert_array_equal(rows - rows.min(), found_rows - found_rows.min())
    np.testing.assert_array_equal(columns - columns.min(), found_columns - found_columns.min())
    np.testing.assert_array_equal(image[mask == 1], rgba[..., :3][solid])


def test_polygons_and_both_run_lengths_are_the_same(photograph):
    image, folder, write = photograph
    mask = np.zeros((60, 80), np.uint8)
    mask[10:24, 10:30] = 1
    packed = tools.encode(np.asfortranarray(mask))
    packed["counts"] = packed["counts"].decode()
    runs = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=0, append=0))
    counts = np.diff([0, *runs, mask.size]).tolist()
    outlines = [SQUARE, packed, {"size": [60, 80], "counts": counts}]
    path = write([annotation(i, segmentation=o) for i, o in enumerate(outlines)])
    records = read_annotated(path, folder, max_bordering=None, soften=0, decontaminate=False)
    for record in records:
        segment = record.read()
        assert (segment.category, segment.phrase, segment.description) == ("dog", "dog", "a pet")
        np.testing.assert_array_equal(segment.rgba[..., :3], image[10:24, 10:30])
        assert (segment.rgba[..., 3] == 255).all()
    assert [record.source_id for record in records] == ["instances/0", "instances/1", "instances/2"]


def test_crowds_are_left_out_and_truncated_objects_can_be(photograph):
    _, folder, write = photograph
    entries = [annotation(1), annotation(2, iscrowd=1), annotation(3, bbox=[0.5, 10, 20, 14])]
    entries += [annotation(4, bbox=[60, 10, 20, 14]), annotation(5, category_id=77)]
    path = write(entries)

    def ids(**options):
        records = read_annotated(path, folder, max_bordering=None, **options)
        return [int(record.source_id.split("/")[1]) for record in records]

    assert ids() == [1, 3, 4, 5]
    assert ids(crowd=True) == [1, 2, 3, 4, 5]
    assert ids(truncated=False) == [1, 5]
    assert ids(include=["cell_phone"]) == [5]
    with pytest.raises(ValueError, match=r"'cat', but .*instances\.json has no categories"):
        ids(include=["cat"])


def test_the_photograph_s_size_is_kept(photograph):
    _, folder, write = photograph
    (record,) = read_annotated(write([annotation(1)]), folder)
    assert record.source_size == (60, 80)
    assert record.read().source_size == (60, 80)


def test_lvis_photographs_are_found_by_their_url(photograph):
    _, folder, write = photograph
    path = write([annotation(1)], file_name=None, coco_url="http://images.example/train2017/a photo é.png")
    assert read_annotated(path, folder)[0].path == folder / "a photo é.png"


@pytest.mark.parametrize(
    ("change", "image_change", "match"),
    [
        ({"category_id": 5}, {}, r"Annotation 7 of .*instances\.json: `category_id` must be .* but got 5"),
        ({"image_id": 9}, {}, "`image_id` must be .* but got 9"),
        ({"segmentation": []}, {}, "must have polygons or run lengths as `segmentation`, but has none"),
        ({"bbox": None}, {}, "it must have a box of four finite numbers, .* as `bbox`, but has None"),
        ({}, {"height": None}, "image 1 has a wrong size: .* must be integers over 0, .* height None"),
        ({}, {"width": "80"}, "image 1 has a wrong size: .* must be integers over 0, .* width '80'"),
        ({}, {"file_name": "gone.jpg"}, r"image .*gone\.jpg does not exist"),
        ({}, {"file_name": "../images/a photo é.png"}, r"must lead to a file below .* but is '\.\./"),
        ({}, {"file_name": "/etc/x.png"}, "must lead to a file below"),
        ({"id": 1}, {}, "'instances/1' is that of both"),
    ],
)
def test_faulty_annotations_are_named_or_skipped(photograph, change, image_change, match):
    _, folder, write = photograph
    faulty = annotation(**{"id": 7, **change})
    entries = [faulty] if image_change else [annotation(1), faulty]
    path = write(entries, **image_change)
    with pytest.raises((FileNotFoundError, ValueError), match=match):
        read_annotated(path, folder, max_bordering=None)
    faults = ErrorCollector("skip")
    if image_change:
        with pytest.raises(ValueError, match="none is left"):
            read_annotated(path, folder, max_bordering=None, faults=faults)
    else:
        assert len(read_annotated(path, folder, max_bordering=None, faults=faults)) == 1
    assert len(faults.texts) == 1


@pytest.mark.parametrize("broken", ["error", "skip"])
@pytest.mark.parametrize("name", ["images", "annotations"])
def test_files_without_images_or_annotations_are_not_said_to_be_left_out(photograph, broken, name):
    _, folder, write = photograph
    path = write([annotation(1)])
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: []}))
    with pytest.raises(ValueError, match=rf"instances\.json must list {name}, but its `{name}` is empty: give anoth"):
        read_annotated(path, folder, faults=ErrorCollector(broken))


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        ({"size": [50, 80], "counts": "abc"}, r"is for an image of \[50, 80\]"),
        ([[1, 2, 3, 4]], "must be polygons or run lengths"),
        ({"counts": [1, 2]}, "must be polygons or run lengths"),
        ([5], r"a photo é\.png \(instances/3\) must be polygons"),
    ],
)
def test_faulty_outlines_are_named(photograph, segmentation, match):
    _, folder, write = photograph
    (record,) = read_annotated(write([annotation(3, segmentation=segmentation)]), folder)
    with pytest.raises(ValueError, match=match):
        record.read()


@pytest.fixture
def folder(tmp_path, rng):
    """A folder of categories, with unicode, spaces and a sub-category."""
    names = ("hot dog/one two.png", "hot dog/big/ü.webp", "äpfel/1.png")
    for name in names:
        write_rgba(tmp_path / "folder" / name, make_rgba(rng, 30, 20))
    return tmp_path / "folder"


def test_folders_are_read(folder):
    records = read_folder(folder)
    assert [record.source_id for record in records] == ["hot dog/big/ü", "hot dog/one two", "äpfel/1"]
    assert [record.sub_category for record in records] == ["big", "", ""]
    assert all(record.read().size[0] <= 30 for record in records)
    write_rgba(folder / "äpfel" / "1.webp", make_rgba(np.random.default_rng(0), 9, 9))
    with pytest.raises(ValueError, match=r"'äpfel/1' is that of both .*1\.png and .*1\.webp"):
        read_folder(folder)
    bank = build_bank({"type": "folder", "root": str(folder), "broken": "skip"})
    assert (len(bank), len(bank.faults)) == (3, 1)
    with pytest.raises(ValueError, match="there is none"):
        read_folder(folder / "äpfel")


def write_tar(path, files, mode="w"):
    """Writes a tar of names and contents."""
    with tarfile.open(path, mode) as shard:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))


def test_tars_are_read_in_place(folder, tmp_path):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}
    files["0001.png"] = files["äpfel/1.png"]
    files["0001.json"] = json.dumps({"category": "pear", "short_phrase": "a pear", "features": ["green"]}).encode()
    write_tar(tmp_path / "s-0.tar", files)
    records = {record.source_id: record for record in read_tar(str(tmp_path / "s-*.tar"))}
    assert records["0001"].read().phrase == "a pear"
    assert records["0001"].attributes == ("green",)
    for record in read_folder(folder):
        np.testing.assert_array_equal(records[record.source_id].read().rgba, record.read().rgba)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"../a/b.png": b"x"}, r"'\.\./a/b' in .*s\.tar must stay below"),
        ({"b.png": b"x"}, r"category of 'b' in .*s\.tar must be known"),
        ({"a/b.png": b"x", "a/b.json": b"{"}, r"a/b\.json in .*s\.tar must be JSON"),
        ({"a/b.png": b"x", "a/b.json": b"[]"}, "must be a JSON object"),
        ({"a/b.txt": b"x"}, "there is none"),
    ],
)
def test_faulty_tars_are_named(tmp_path, files, match):
    write_tar(tmp_path / "s.tar", files)
    with pytest.raises(ValueError, match=match):
        read_tar(tmp_path / "s.tar")


def test_compressed_or_missing_tars(tmp_path):
    write_tar(tmp_path / "s.tar.gz", {"a/b.png": b"x"}, "w:gz")
    with pytest.raises(ValueError, match=r"s\.tar\.gz must be an uncompressed tar"):
        read_tar(tmp_path / "s.tar.gz")
    with pytest.raises(FileNotFoundError, match="none"):
        read_tar(str(tmp_path / "none-*.tar"))


def test_filter_annotations(release, tmp_path):
    root, metadata = release
    yes = {"IsInstance": True, "Integrity": True, "QualityAndRegularity": True}
    answers = {record.source_id: yes for record in read_release_layout(root, metadata)}
    answers["apple_red_apple_1"] = {**yes, "Integrity": False}
    del answers["apple/red_apple/1"]
    path = tmp_path / "filters.json"
    path.write_text(json.dumps(answers))
    config = {"type": "release", "root": str(root), "metadata": str(metadata)}
    asked = {**config, "filters": {"annotated": ["Integrity"]}}
    assert len(build_bank({**asked, "filter_annotations": str(path)})) == 5
    assert len(build_bank({**asked, "filter_annotations": str(path), "filters": {"annotated": ["IsInstance"]}})) == 6
    with pytest.raises(ValueError, match="asks for 'Integrity', but 6 of 6 segments have no such annotation"):
        build_bank(asked)
    answers["dog/small_dog/0"] = {"IsInstance": "yes"}
    path.write_text(json.dumps(answers))
    with pytest.raises(ValueError, match=r"filters\.json must say true or false .* 'dog/small_dog/0'"):
        build_bank({**asked, "filter_annotations": str(path)})
