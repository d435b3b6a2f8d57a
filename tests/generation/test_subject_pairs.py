"""Banks cut out of subject pairs: files in the form of Subjects200K, splitting, faulty images, the command."""

import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import sos_mm
from sos_mm.checks import FaultyInputError
from sos_mm.cli import main
from sos_mm.generation.making import make_segments
from sos_mm.generation.recipe import DrawingRecipe, PairsRecipe, build_bank_recipe
from sos_mm.generation.subject_pairs import PanelImages, SubjectPairs, list_panels, split_panels
from sos_mm.segments import build_bank
from tests.cutouts.test_cutting import U2NETP, needs_u2netp

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SAMPLE = Path(sos_mm.__file__).parent / "sample"

SIDE, PADDING = 64, 16
QUALITY = ("compositeStructure", "objectConsistency", "imageQuality")
# Item, color of the object, quality, and whether the description is valid.
ROWS = [
    ("Eames Lounge Chair", (250, 30, 30), 5, True),
    ("A bowl of soup", (30, 250, 30), 5, True),
    ("Grand Piano", (250, 250, 30), 5, True),
    ("Running Shoes", (250, 30, 250), 4, True),
    ("Wooden chair", (30, 30, 250), 5, False),
    ("Teddy Bears", (30, 250, 250), 5, True),
]
DESCRIPTION = pa.struct(
    [(name, pa.string()) for name in ("item", "description_0", "description_1", "category")]
    + [("description_valid", pa.bool_())]
)


def panel(color, high: int, size=(SIDE, SIDE)) -> np.ndarray:
    """A dark scene with a bright object of 20 pixels' width."""
    image = np.full((*size, 3), 40, np.uint8)
    image[20 : 20 + high, 22:42] = color
    return image


def pair(color, vertical=False) -> np.ndarray:
    """Two panels with a white frame of 16 pixels around and between them, as in Subjects200K."""
    image = np.full((2 * PADDING + SIDE, 3 * PADDING + 2 * SIDE, 3), 255, np.uint8)
    image = image.swapaxes(0, 1) if vertical else image
    for part, high in enumerate((24, 14)):
        begin = [PADDING, PADDING]
        begin[0 if vertical else 1] += part * (SIDE + PADDING)
        image[begin[0] : begin[0] + SIDE, begin[1] : begin[1] + SIDE] = panel(color, high)
    return np.ascontiguousarray(image)


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def description(item: str, valid: bool) -> dict:
    scenes = {f"description_{part}": f"The  {item} stands in scene {part}." for part in range(2)}
    return {"item": item, **scenes, "category": "Things", "description_valid": valid}


def write(path, images=None, as_json=False, rows=ROWS):
    """A Parquet file of Subjects200K's columns, in row groups of two."""
    images = images or [encoded(pair(color, vertical=place % 2 == 1)) for place, (_, color, _, _) in enumerate(rows)]
    words = [description(item, valid) for item, _, _, valid in rows]
    columns = {
        "image": pa.array([{"bytes": image, "path": None} for image in images]),
        "collection": pa.array(["collection_2"] * len(rows)),
        "quality_assessment": pa.array([dict.fromkeys(QUALITY, value) for _, _, value, _ in rows]),
        "description": pa.array([json.dumps(each) for each in words]) if as_json else pa.array(words, DESCRIPTION),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def recipe_of(path, pairs=None, **changed) -> PairsRecipe:
    settings = dict(
        categories=["chair", "bear", "teddy bear", "bowl", "shoe"],
        pairs=dict(files=str(path), licence="none", **(pairs or {})),
        cutter=dict(type="tests.helpers.cutters.BrightCutter"),
        filters=dict(duplicates=None),
        shard_size=3,
    )
    return PairsRecipe.from_dict({**settings, **changed})


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "set/train-00000-of-00001.parquet")


def test_bank_holds_both_objects_of_each_pair(file, tmp_path):
    """The colours, sizes and words of the rows that were written."""
    report = make_segments(recipe_of(file), tmp_path / "out", progress=False)
    assert (report.complete, report.kept, dict(report.rejected)) == (True, 8, {})
    assert "segments = dict(type=" in report.describe()
    config = dict(type="release", root=str(tmp_path / "out/segments"), metadata=str(tmp_path / "out/metadata.json"))
    bank = build_bank(config)
    assert bank.categories == ("bowl", "chair", "shoe", "teddy_bear")
    lines = [json.loads(line) for line in (tmp_path / "out/provenance.jsonl").read_text().splitlines()]
    told = {line["id"]: line for line in lines}
    phrases = {"chair": "an eames lounge chair", "bowl": "a bowl of soup", "shoe": "running shoes"}
    phrases["teddy_bear"] = "teddy bears"
    for segment in map(bank.load, range(len(bank))):
        line = told[segment.source_id.rsplit("/", 1)[1]]
        stem, row, part = line["source"].split("/")
        assert (stem, line["licence"]) == ("train-00000-of-00001", "none")
        item, color, _, _ = ROWS[int(row)]
        high = (24, 14)[int(part)]
        assert segment.rgba.shape == (high, 20, 4)
        np.testing.assert_array_equal(segment.rgba, np.full((high, 20, 4), (*color, 255)))
        assert line["scene"] == f"The {item} stands in scene {part}."
        assert segment.phrase == phrases[segment.category]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["pairs"]["left_out"] == {"another category": 1, "no description": 1}
    assert list(manifest["pairs"]["files"]) == [file.name]


def test_stopped_and_resumed(file, tmp_path, monkeypatch):
    """After the first of three shards: those that are there are not read again, and the bytes are the same."""
    from sos_mm.generation import shards

    make_segments(recipe_of(file), tmp_path / "whole", progress=False)
    write_shard, calls = shards.write_shard, []

    def stopping(out, number, entries):
        calls.append(number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_shard(out, number, entries)

    monkeypatch.setattr("sos_mm.generation.making.write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        make_segments(recipe_of(file), tmp_path / "out", progress=False)
    assert make_segments(recipe_of(file), tmp_path / "out", progress=False).drawn == 5
    names = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert len(names) == 8 + 4
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_changed_files_are_noticed(file, tmp_path, monkeypatch):
    monkeypatch.setattr("sos_mm.generation.joining.move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make_segments(recipe_of(file), tmp_path / "out", progress=False)
    write(file, rows=[(item.replace("Lounge", "Deck"), *rest) for item, *rest in ROWS])
    with pytest.raises(ValueError, match=r"`pairs\.files` must be as they were"):
        make_segments(recipe_of(file), tmp_path / "out", progress=False)
    write(file, images=[encoded(pair(color)) for _, color, _, _ in ROWS])
    with pytest.raises(FileExistsError, match="began with another pairs"):
        make_segments(recipe_of(file), tmp_path / "out", progress=False)


@pytest.mark.parametrize("as_json", [False, True])
def test_quality_and_categories_choose_rows(tmp_path, as_json):
    path = write(tmp_path / "a.parquet", as_json=as_json)
    listed, left_out = list_panels(SubjectPairs(path, least_quality=5), ["shoe", "chair"])
    assert [(each.row, each.part, each.prompt.category) for each in listed] == [(0, 0, "chair"), (0, 1, "chair")]
    assert left_out == {"another category": 3, "low quality": 1, "no description": 1}
    # Without categories, those of the files.
    listed, left_out = list_panels(SubjectPairs(path), None)
    assert {each.prompt.category for each in listed} == {"Things"}
    assert (len(listed), dict(left_out)) == (10, {"no description": 1})


def test_unreadable_images_are_counted(tmp_path):
    """Of eight panels, those of a file that is no image, of one that is no pair, and of an empty one."""
    images = [encoded(pair(color)) for _, color, _, _ in ROWS]
    images[0], images[1], images[3] = b"no image", encoded(panel((250, 30, 30), 24)), None
    path = write(tmp_path / "a.parquet", images)
    report = make_segments(recipe_of(path, keep_rejected=True), tmp_path / "out", progress=False)
    assert (report.kept, report.rejected) == (2, {"unreadable": 6})
    lines = [json.loads(line) for line in (tmp_path / "out/provenance.jsonl").read_text().splitlines()]
    faults = [line["fault"] for line in lines if line["reasons"]]
    assert "about 2 times as long as wide, but is 64x64" in faults[2]
    assert "must hold an image file, but holds nothing" in faults[4]


@given(st.integers(2, 4), st.integers(32, 48), st.integers(0, 3), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_panels_are_squares_without_frame(number, side, padding, vertical, is_framed):
    """Each panel is of one shade, its number; of the frame nothing is left."""
    frame = padding if is_framed else 0
    image = np.full((side + 2 * frame, number * side + (number + 1) * frame, 3), 255, np.uint8)
    for part in range(number):
        left = frame + part * (side + frame)
        image[frame : frame + side, left : left + side] = part
    image = image.swapaxes(0, 1) if vertical else image
    parts = split_panels(image, number, padding)
    assert len(parts) == number
    for part, found in enumerate(parts):
        assert (found == part).all()
        # At most the frame and the padding are lost on each side.
        assert min(found.shape[:2]) >= side - 2 * padding


@pytest.mark.parametrize(("height", "width", "number"), [(64, 64, 2), (64, 192, 2), (128, 64, 3), (64, 108, 2)])
def test_other_shapes_are_refused(height, width, number):
    with pytest.raises(FaultyInputError, match=f"about {number} times as long as wide, but is {width}x{height}"):
        split_panels(np.zeros((height, width, 3), np.uint8), number, 4)


def test_padding_must_leave_something():
    with pytest.raises(FaultyInputError, match=r"`pairs\.padding` must leave"):
        split_panels(np.zeros((32, 64, 3), np.uint8), 2, 16)


def test_a_panel_alone_is_read(file):
    """From the second row group alone, in the order of the places."""
    paired = PanelImages(SubjectPairs(file), None)
    (found,) = paired.images([5])
    assert (paired.listed[5].row, paired.listed[5].part) == (2, 1)
    assert found.image.shape == (64, 56, 3)
    np.testing.assert_array_equal(found.image[25, 20], ROWS[2][1])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pairs": {}}, r"`pairs\.files` must name Parquet files"),
        ({"pairs": {"files": "x", "paddin": 3}}, "Did you mean 'padding'"),
        ({"pairs": {"files": "x", "pictures": 1}}, r"`pairs\.pictures` must be an integer in \[2"),
        ({"pairs": {"files": "x", "padding": -1}}, r"`pairs\.padding` must be an integer"),
        ({"pairs": {"files": "x", "least_quality": 6}}, r"`pairs\.least_quality` must be an integer"),
        ({"pairs": {"files": "x", "licence": 3}}, r"`pairs\.licence` must be a text"),
        ({"pairs": "x"}, "`pairs` must be a dict"),
        ({"model": {}}, "key of recipe"),
        ({"keep_rejected": "no"}, "`keep_rejected` must be true or false"),
    ],
)
def test_faulty_recipes(file, changed, said):
    with pytest.raises(ValueError, match=said):
        PairsRecipe.from_dict({**recipe_of(file).to_dict(), **changed})


def test_faulty_files(file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none at .*gone\.parquet"):
        recipe_of(tmp_path / "gone.parquet").write_prompts(0)
    with pytest.raises(ValueError, match=r"all rows are left out \(5 another category, 1 no desc"):
        recipe_of(file, categories=["zebra"]).write_prompts(0)
    pq.write_table(pa.table({"image": [b"x"], "item": ["a mug"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"`description of pairs\.files` must be a column of"):
        recipe_of(tmp_path / "other.parquet").write_prompts(0)
    half = file.with_name("half.parquet")
    half.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="must be a complete Parquet file"):
        recipe_of(half).write_prompts(0)


def test_which_recipe_a_config_is(file):
    assert isinstance(build_bank_recipe(recipe_of(file).to_dict()), PairsRecipe)
    with pytest.raises(ValueError, match="must have `model`"):
        build_bank_recipe(dict(categories=["mug"], cutter={}))
    assert issubclass(DrawingRecipe, type(recipe_of(file)).__base__)


def test_command(file, tmp_path, capsys):
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps(recipe_of(file).to_dict()))
    assert main(["draw", str(config), "--out", str(tmp_path / "texts.jsonl"), "--prompts-only"]) == 0
    assert "8 prompts for 8 images" in capsys.readouterr().out
    assert main(["draw", str(config), "--out", str(tmp_path / "out")]) == 0
    assert "8 segments (8 images in " in capsys.readouterr().out


def on_scenery(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A render of the sample in the middle of a smooth scene of 256x256 pixels."""
    scene = cv2.resize(rng.integers(60, 200, (4, 4, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    factor = 150 / max(rgba.shape[:2])
    small = cv2.resize(rgba, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    y, x = ((256 - length) // 2 for length in small.shape[:2])
    part = scene[y : y + small.shape[0], x : x + small.shape[1]]
    weight = small[..., 3:] / 255
    part[:] = np.rint(part * (1 - weight) + small[..., :3] * weight)
    return scene


@needs_u2netp
def test_shipped_cutter_and_filters_keep_most_real_cutouts(tmp_path, rng):
    """Two renders, each in two scenes: with the cutter of the shipped recipe, the filter of soft edges keeps them."""
    base = runpy.run_path(str(CONFIGS / "_base_/cut_out.py"))
    assert Path(base["cutter"]["path"]).name == U2NETP.name
    bank = build_bank(dict(type="release", root=str(SAMPLE / "segments"), metadata=str(SAMPLE / "metadata.json")))
    renders = [bank.load(bank.draw_of(rng, name)) for name in ("dog", "car")]
    images = [encoded(np.hstack([on_scenery(each.rgba, rng) for _ in range(2)])) for each in renders]
    rows = [(f"toy {each.category}", None, 5, True) for each in renders]
    path = write(tmp_path / "a.parquet", images, rows=rows)
    recipe = recipe_of(
        path,
        categories=["dog", "car"],
        cutter=dict(type="OnnxCutter", path=str(U2NETP), threads=1),
        filters={**base["filters"], "duplicates": None},
    )
    report = make_segments(recipe, tmp_path / "out", progress=False)
    assert report.kept >= 3, report.rejected
    lines = [json.loads(line) for line in (tmp_path / "out/provenance.jsonl").read_text().splitlines()]
    assert all(line["scores"]["soft"] < base["filters"]["soft"] for line in lines)
