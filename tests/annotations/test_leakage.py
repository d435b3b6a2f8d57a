"""The leakage audit: hashes, the search against brute force, and planted copies among composed images."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.annotations.leakage import audit, nearest, perceptual_hashes
from sos_mm.annotations.leakage.hashing import _by_table, count_bits, distances, forms, grey_cut_out
from sos_mm.cli import main
from sos_mm.segments import build_index, read_release_layout
from sos_mm.segments.sample import SAMPLE_FOLDER
from sos_mm.synthesis import Recipe, synthesize

SEGMENTS = ["apple/red_apple", "dog/tan_dog", "car/blue_suv", "truck/fire_truck", "book/green_book"]
RECIPE = Recipe(
    canvas=(160, 160),
    segments={"type": "sample", "group": "all", "include": SEGMENTS},
    layout={"type": "StructuredLayout", "counts": (2, 3), "crowded": "fewer", "max_enlargement": None, "flip": 0},
    image_format="png",
)


def image(seed, size=(120, 160)):
    """A smooth random grey image."""
    noise = np.random.default_rng(seed).normal(size=(9, 12)).astype(np.float32)
    smooth = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8)


def bits_of(grey):
    """The hash of an image, bit by bit from the definition of the cosine transform."""
    small = cv2.resize(grey.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    place, frequency = np.meshgrid(np.arange(32), np.arange(32))
    basis = np.cos(np.pi * (2 * place + 1) * frequency / 64) * np.where(frequency, 1, np.sqrt(0.5)) / 4
    spectrum = basis @ small @ basis.T
    lowest = sorted((row**2 + column**2, row * 32 + column) for row in range(32) for column in range(32))[1:129]
    values = spectrum.ravel()[[index for _, index in lowest]]
    return (values > np.median(values)).astype(int)


def unpacked(hashed):
    return np.unpackbits(np.asarray(hashed, np.uint64).view(np.uint8))


@pytest.mark.parametrize("seed", range(3))
def test_hash_is_that_of_the_definition(seed):
    hashed = perceptual_hashes(image(seed))
    assert (hashed.shape, hashed.dtype) == ((1, 2), np.uint64)
    assert unpacked(hashed[0]).tolist() == bits_of(image(seed)).tolist()
    assert unpacked(hashed[0]).sum() == 64


def test_forms_are_hashes_of_changed_images():
    grey = image(0)
    found = perceptual_hashes(grey, mirror=True, crops=True)
    names = forms(mirror=True, crops=True)
    assert len(found) == len(names) == 12
    assert forms() == ("whole",)
    changed = [grey, grey[3:117, 4:156], grey[:114, :152], grey[:114, 8:], grey[6:, :152], grey[6:, 8:]]
    changed += [each[:, ::-1] for each in changed]
    for name, own, each in zip(names, found, changed, strict=True):
        assert distances(own, perceptual_hashes(np.ascontiguousarray(each))[0]) <= 1, name
    assert min(distances(found[0], found[place]) for place in range(1, 12)) > 4


def test_changes_move_few_bits_and_others_many():
    grey = image(0)
    own = perceptual_hashes(grey)[0]
    encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    small = cv2.resize(grey, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    for each in (cv2.imdecode(encoded, 0), small, cv2.add(grey, 12), cv2.GaussianBlur(grey, (5, 5), 0)):
        assert distances(own, perceptual_hashes(each)[0]) <= 10
    others = [distances(own, perceptual_hashes(image(seed))[0]) for seed in range(1, 30)]
    assert min(others) > 40


def test_plain_images_have_no_hash():
    assert perceptual_hashes(np.full((50, 50), 90, np.uint8)) is None
    plain = np.full((64, 64), 90, np.uint8)
    plain[0, 0] = 255
    assert perceptual_hashes(plain) is None


def test_surroundings_of_a_cut_out_do_not_count():
    rng = np.random.default_rng(0)
    rgb = np.dstack([image(seed, (60, 60)) for seed in range(3)])
    mask = cv2.circle(np.zeros((60, 60), np.uint8), (30, 30), 28, 1, -1).astype(bool)
    other = np.where(mask[:, :, None], rgb, rng.integers(0, 256, rgb.shape, np.uint8))
    np.testing.assert_array_equal(grey_cut_out(rgb, mask), grey_cut_out(other, mask))
    assert (grey_cut_out(rgb, mask)[~mask] == round(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[mask].mean())).all()


@given(st.integers(0, 1000), st.integers(0, 9000), st.integers(0, 150), st.integers(0, 128))
@settings(max_examples=25, deadline=None)
def test_search_is_that_of_brute_force(seed, number, queries, limit):
    rng = np.random.default_rng(seed)
    # Of few bits, so that many are near and some are equal.
    hashes, asked = (rng.integers(0, 2**64, (n, 2), np.uint64) & np.uint64(0x1111_0101) for n in (number, queries))
    found = nearest(hashes, asked, limit)
    bits, own = (unpacked(each).reshape(len(each), 128).astype(np.float32) for each in (hashes, asked))
    apart = (own.sum(1)[:, None] + bits.sum(1)[None] - 2 * own @ bits.T).astype(int)
    near = apart <= limit
    np.testing.assert_array_equal(found.number, near.sum(axis=1))
    for query in range(queries):
        if near[query].any():
            assert found.index[query] == apart[query].argmin()
            assert found.distance[query] == apart[query].min()
        else:
            assert (found.index[query], found.distance[query]) == (-1, 129)


def test_bits_are_counted_by_table_too():
    words = np.random.default_rng(0).integers(0, 2**64, (7, 5), np.uint64)
    expected = [[int(word).bit_count() for word in row] for row in words]
    assert _by_table(words).tolist() == count_bits(words).tolist() == expected


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """A training set and a test set of other objects, with four planted copies of training images in the test set."""
    folder = tmp_path_factory.mktemp("leakage")
    synthesize(RECIPE, folder / "train", 12, progress=False)
    others = {
        "type": "sample",
        "group": "all",
        "include": ["shirt/pink_shirt", "padlock/open_padlock", "camel/one_humped_camel"],
    }
    test = Recipe.from_dict(RECIPE.to_dict() | {"segments": others})
    synthesize(test, folder / "test", 8, seed=5, progress=False)
    content = json.loads((folder / "test/annotations/instances.json").read_text())
    train = json.loads((folder / "train/annotations/instances.json").read_text())
    for place, image in enumerate(train["images"][:4]):
        pixels = cv2.imread(str(folder / "train/images" / image["file_name"]))
        if place == 1:
            pixels = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)
        if place == 2:
            pixels = pixels[:, ::-1]
        name = f"copy_{place}.{'jpg' if place == 0 else 'png'}"
        cv2.imwrite(str(folder / "test/images" / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 40])
        copied = {"id": 100 + place, "file_name": name, "height": pixels.shape[0], "width": pixels.shape[1]}
        content["images"].append(copied)
        if place == 3:
            objects = [each for each in train["annotations"] if each["image_id"] == image["id"]]
            content["annotations"] += [{**each, "id": 1000 + each["id"], "image_id": 103} for each in objects]
            content["categories"] += [{**each, "id": each["id"] + 50} for each in train["categories"]]
            for each in content["annotations"][-len(objects) :]:
                each["category_id"] += 50
    (folder / "test/annotations/instances.json").write_text(json.dumps(content))
    return folder


def test_planted_copies_are_found(composed):
    found = audit(composed / "train", composed / "test", mirror=True, least_side=16, workers=2)
    images = {each.test.file: each for each in found.leaks if each.kind == "image"}
    assert set(images) == {"copy_0.jpg", "copy_1.png", "copy_2.png", "copy_3.png"}
    train = json.loads((composed / "train/annotations/instances.json").read_text())
    for place, image in enumerate(train["images"][:4]):
        leak = next(leak for name, leak in images.items() if name.startswith(f"copy_{place}"))
        assert leak.train.file == image["file_name"]
        assert leak.form == ("mirrored" if place == 2 else "whole")
    assert images["copy_3.png"].distance == 0
    copied = train["images"][3]["id"]
    objects = {each.test.object: each for each in found.leaks if each.kind == "cut-out" and each.distance == 0}
    sides = {each["id"]: min(each["bbox"][2:]) for each in train["annotations"] if each["image_id"] == copied}
    wanted = {1000 + id for id, side in sides.items() if side >= 16}
    assert wanted
    assert wanted <= set(objects)
    # The same segment in other training images may be as near.
    assert all(each.near >= 1 and each.test.category == each.train.category for each in objects.values())
    without = audit(composed / "train", composed / "test", least_side=16)
    assert "copy_2.png" not in {each.test.file for each in without.leaks if each.kind == "image"}
    assert found.counts["train"]["image"] == 12


def test_result_does_not_depend_on_threads(composed):
    first, second = (audit(composed / "train", composed / "test", workers=number) for number in (1, 3))
    assert first == second


def test_command_writes_json_and_page_and_fails_on_leaks(composed, tmp_path, capsys):
    out, page = tmp_path / "out/leaks.json", tmp_path / "leaks.html"
    command = ["audit", str(composed / "train"), str(composed / "test"), "--out", str(out), "--page", str(page)]
    assert main([*command, "--mirror", "--num", "3"]) == 0
    told = capsys.readouterr().out
    assert "4 of 12 test images (33.3%) have a near-duplicate among 12 training images" in told
    content = json.loads(out.read_text())
    assert [each["distance"] for each in content["leaks"]] == sorted(each["distance"] for each in content["leaks"])
    assert content["settings"]["mirror"] is True
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert "more in the JSON file" in text
    leaks = len(content["leaks"])
    assert main([*command[:3], "--mirror", "--fail-on", str(leaks)]) == 1
    assert main([*command[:3], "--mirror", "--fail-on", str(leaks + 1)]) == 0
    assert main([*command[:3], "--mirror", "--limit", "0", "--fail-on", "1"]) == 1


def test_cut_outs_of_files_and_indexes(tmp_path):
    """Segments of a bank are found in a folder of cut-outs; and the same as an index, against images of none."""
    records = read_release_layout(SAMPLE_FOLDER / "segments", SAMPLE_FOLDER / "metadata.json", include=SEGMENTS)
    build_index(records, tmp_path / "bank.arrow", progress=False)
    names = {}
    for place, record in enumerate(records):
        rgba = np.ascontiguousarray(record.read().rgba[:, ::-1])
        path = tmp_path / "test" / record.category / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
        names[f"{record.category}/{place}.png"] = record.category
    cv2.imwrite(str(tmp_path / "test/photo.jpg"), image(0))
    found = audit(tmp_path / "bank.arrow", tmp_path / "test", mirror=True)
    assert {leak.test.file for leak in found.leaks} == set(names)
    assert all(leak.train.category == names[leak.test.file] == leak.test.category for leak in found.leaks)
    # Frequencies that a symmetric object lacks have bits of noise.
    assert {leak.distance for leak in found.leaks} <= set(range(17))
    assert {leak.form for leak in found.leaks} == {"mirrored"}
    assert found.counts["test"]["image"] == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"limit": 129}, r"`limit` must be an integer in \[0, 128\], but got 129"),
        ({"limit": 2.5}, "`limit` must be an integer"),
        ({"least_side": 0}, "`least_side` must be an integer in"),
        ({"workers": 0}, "`workers` must be an integer in"),
        ({"train": "nowhere"}, "must be a file or folder, but nowhere does not exist"),
    ],
)
def test_faulty_options(composed, options, match):
    options = {"train": composed / "train", "test": composed / "test", **options}
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        audit(**options)


def test_test_data_are_looked_for_before_training_data_are_read(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        audit(tmp_path, "nowhere")


def test_missing_and_other_images_are_errors(composed, tmp_path):
    content = json.loads((composed / "train/annotations/instances.json").read_text())
    content["images"][5]["height"] += 1
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"must have the 161 x 160 pixels \(height, width\)"):
        audit(tmp_path / "instances.json", composed / "test", train_images=composed / "train/images")
    content["images"][5]["file_name"] = "none.png"
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(FileNotFoundError, match=r"The image none\.png is not in .*: give its folder"):
        audit(tmp_path / "instances.json", composed / "test", train_images=composed / "train/images")
    content["images"] = content["annotations"] = []
    (tmp_path / "instances.json").write_text(json.dumps(content))
    for sides in ((tmp_path, composed / "test"), (composed / "test", tmp_path / "instances.json")):
        with pytest.raises(ValueError, match=r"instances\.json must list images, but its `images` is empty: give"):
            audit(*sides)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="must hold images or annotations of them"):
        audit(tmp_path / "empty", composed / "test")


def test_folders_are_listed_and_decoded_as_everywhere(tmp_path, monkeypatch):
    """Hidden files and resource forks are no images; other kinds, and images of too many pixels, are refused."""
    rgba = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    for name in ("train/a.png", "train/.hidden.png", "train/__MACOSX/._a.png", "test/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), rgba)
    found = audit(tmp_path / "train", tmp_path / "test")
    assert found.counts["train"]["cut-out"] == 1
    assert [each.train.file for each in found.leaks] == ["a.png"]
    monkeypatch.setenv("SOS_MM_MAX_PIXELS", "4095")
    with pytest.raises(ValueError, match="above the limit of 4095"):
        audit(tmp_path / "train", tmp_path / "test")
    monkeypatch.delenv("SOS_MM_MAX_PIXELS")
    (tmp_path / "test/c.gif").touch()
    with pytest.raises(ValueError, match="GIF file, which is not read"):
        audit(tmp_path / "train", tmp_path / "test")


@pytest.mark.parametrize("option", ["--out", "--page"])
def test_command_replaces_no_input(composed, option):
    labels = composed / "test/annotations/instances.json"
    before = labels.read_bytes()
    with pytest.raises(SystemExit, match=f"`{option}` must be another file than those that are read"):
        main(["audit", str(composed / "train"), str(labels), option, str(labels)])
    assert labels.read_bytes() == before
