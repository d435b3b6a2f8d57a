"""The sheet of `sos-mm preview`: its images are those of the data set, its masks those of the scenes."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.cli.preview import main
from sos_mm.synthesis import Recipe, SceneMaker, synthesize
from sos_mm.synthesis import contact_sheet as module
from sos_mm.synthesis.contact_sheet import check_sheet_path, contact_sheet, write_sheet

GAP, TITLE = module._GAP, module._LINE + module._GAP
MIDDLE = 2


def scenes_of(recipe_dict: dict, number: int = 2, **changed) -> list:
    maker = SceneMaker(Recipe.from_dict({**recipe_dict, **changed}), 0)
    return [maker.make(index) for index in range(number)]


def first_pair(sheet: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The two drawings of the first scene."""
    rows, right = slice(TITLE, TITLE + height), GAP + width + MIDDLE
    return sheet[rows, GAP : GAP + width], sheet[rows, right : right + width]


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask with a pixel of another kind beside, above or below, or at the border."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def test_masks_are_those_of_the_scene(recipe_dict):
    """At full size; every pixel of the right image follows from the left one and the scene's owners."""
    scene = scenes_of(recipe_dict, 1, layout={**recipe_dict["layout"], "counts": (3, 4)})[0]
    plain, masked = first_pair(contact_sheet([scene], "", columns=1, side=96), 80, 96)
    np.testing.assert_array_equal(plain, scene.image)
    np.testing.assert_array_equal(masked[scene.owner == 0], scene.image[scene.owner == 0])
    colors = module._category_colors(scene)
    assert len(set(colors.values())) == len({each.category for each in scene.objects})
    for index, each in enumerate(scene.objects):
        mask, color = scene.modal_mask(index), np.array(colors[each.category])
        edge = outline(mask)
        assert (masked[edge] == color).all()
        # Corners of an outline that are met diagonally belong to it too.
        filled = mask & ~cv2.dilate(edge.view(np.uint8), np.ones((3, 3))).astype(bool)
        np.testing.assert_allclose(masked[filled], 0.6 * scene.image[filled] + 0.4 * color, atol=0.5)


def test_ignored_regions_are_grey(recipe_dict):
    changed = dict(keep_ignored=True, min_visible_share=1.0, layout={**recipe_dict["layout"], "counts": (6, 9)})
    scene = next(each for each in scenes_of(recipe_dict, 9, **changed) if each.ignored)
    _, masked = first_pair(contact_sheet([scene], "", columns=1, side=96), 80, 96)
    x0, y0, x1, y1 = scene.ignored[-1].box
    edge = outline(np.pad(scene.ignored[-1].mask, ((y0, 80 - y1), (x0, 96 - x1)))) & (scene.owner == 0)
    assert edge.any()
    assert (masked[edge] == module._IGNORED).all()


def test_transparent_scenes_are_over_a_chequerboard(recipe_dict):
    scene = scenes_of(recipe_dict, 1, backgrounds={"type": "none"}, image_format="png", formats=["coco"])[0]
    plain, _ = first_pair(contact_sheet([scene], "", columns=1, side=96), 80, 96)
    assert {tuple(color) for color in plain[scene.alpha == 0].tolist()} == {(190,) * 3, (235,) * 3}
    np.testing.assert_array_equal(plain[scene.alpha == 255], scene.image[scene.alpha == 255])


@pytest.mark.parametrize(("number", "columns", "rows"), [(1, 3, 1), (4, 3, 2), (9, 3, 3), (5, 1, 5)])
def test_size_of_the_sheet(recipe_dict, number, columns, rows):
    sheet = contact_sheet(scenes_of(recipe_dict, number), "a title", columns, side=192)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == columns * (2 * 192 + MIDDLE + GAP) + GAP
    # Below each row of images there is at least one line of words.
    assert sheet.shape[0] >= TITLE + rows * (160 + module._LINE + GAP)


def test_large_images_are_reduced(recipe_dict):
    scene = scenes_of(recipe_dict, 1, canvas=(300, 200))[0]
    plain, _ = first_pair(contact_sheet([scene], "", columns=1, side=150), 150, 100)
    np.testing.assert_array_equal(plain, cv2.resize(scene.image, (100, 150), interpolation=cv2.INTER_AREA))


def test_names_without_ascii_are_drawn(recipe_dict):
    scene = scenes_of(recipe_dict, 1)[0]
    objects = tuple(replace(each, category="pomme verte \N{GREEN APPLE}") for each in scene.objects)
    named, plain = (contact_sheet([replace(scene, objects=each)], "") for each in (objects, scene.objects))
    assert named.shape != plain.shape or (named != plain).any()


def test_written_sheet_is_a_sound_png_that_is_known_again(tmp_path, rng):
    sheet, path = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), tmp_path / "x.png"
    for _ in range(2):  # The second time over the first.
        write_sheet(path, sheet)
    np.testing.assert_array_equal(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), sheet)
    data, at, kinds = path.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunk = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(chunk)
        kinds.append(chunk[:4])
        at += 12 + length
    assert kinds[:2] == [b"IHDR", b"tEXt"]
    assert kinds[-1] == b"IEND"


def test_sheets_are_not_written_over_other_things(tmp_path, rng):
    (tmp_path / "folder.png").mkdir()
    cv2.imwrite(str(tmp_path / "photo.png"), rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    for name in ("folder.png", "photo.png"):
        with pytest.raises(FileExistsError, match="is not a sheet"):
            check_sheet_path(tmp_path / name)
    with pytest.raises(ValueError, match=r"must be a \.png file"):
        check_sheet_path(tmp_path / "x.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere does not"):
        check_sheet_path(tmp_path / "nowhere/x.png")
    assert check_sheet_path(tmp_path / "new.PNG") == tmp_path / "new.PNG"


@pytest.fixture
def recipe_file(recipe_dict, tmp_path) -> Path:
    pytest.importorskip("mmengine.config")
    path = tmp_path / "recipe.py"
    recipe_dict["image_format"] = "png"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in recipe_dict.items()))
    return path


def test_verb_draws_the_first_images_of_the_data_set(recipe_file, recipe_dict, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    main([str(recipe_file), "--seed", "3", "--cfg-options", "min_area=20"])
    assert capsys.readouterr().out == "preview.png\n"
    assert [path.name for path in Path().iterdir()] == ["preview.png"]
    sheet = cv2.cvtColor(cv2.imread("preview.png"), cv2.COLOR_BGR2RGB)
    synthesize(Recipe.from_dict({**recipe_dict, "min_area": 20}), tmp_path / "out", 9, seed=3)
    files = sorted((tmp_path / "out/images").iterdir())
    assert len(files) == 9
    pair = 2 * 320 + MIDDLE
    for column, file in enumerate(files[:3]):
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        height, x = round(80 * 320 / 96), GAP + column * (pair + GAP)
        expected = cv2.resize(image, (320, height), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(sheet[TITLE : TITLE + height, x : x + 320], expected)
    assert sheet.shape[1] == 3 * (pair + GAP) + GAP


def test_verb_refuses(recipe_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("preview.png").write_bytes(b"mine")
    with pytest.raises(SystemExit, match=r"error: preview\.png is there already"):
        main([str(recipe_file)])
    assert Path("preview.png").read_bytes() == b"mine"
    with pytest.raises(SystemExit, match=r"error: .*nowhere\.py does not exist"):
        main(["nowhere.py", "--out", "x.png"])
    with pytest.raises(SystemExit, match=r"error: .*recipe\.py: `key of the recipe` must be .* Did you mean 'layout'"):
        main([str(recipe_file), "--out", "x.png", "--cfg-options", "layot=3"])
    assert not Path("x.png").exists()
