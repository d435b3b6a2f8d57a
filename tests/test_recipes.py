"""The recipes that are shipped: each is valid, and an ablation changes one thing alone."""

import ast
import json
from pathlib import Path

import cv2
import pytest

from sos_mm.segments import SegmentBank
from sos_mm.synthesis import Recipe, load_recipe, synthesize

pytest.importorskip("mmengine.config")
FOLDER = Path(__file__).resolve().parents[1] / "configs/synthesis"
ABLATIONS = sorted(path.name for path in (FOLDER / "ablations").glob("*.py"))


@pytest.fixture
def options(tmp_path):
    """What stands in for COCO's annotations, which the layout taken from them reads at once."""
    boxes = [{"image_id": 1, "bbox": [10 * i, 10, 10, 20], "category_id": 1} for i in range(6)]
    content = {"images": [{"id": 1, "width": 100, "height": 100}], "annotations": boxes, "categories": []}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return {"layout_coco.py": {"layout.annotations": str(tmp_path / "instances.json")}}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_recipe_is_valid(path, options):
    recipe = load_recipe(path, options.get(path.name))
    assert Recipe.from_dict(recipe.to_dict()).sha256 == recipe.sha256


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_recipe_makes_images(path, options, tmp_path):
    """An image of each, from the bundled objects where it names files that are not here."""
    recipe = load_recipe(path, options.get(path.name)).to_dict()
    segments = {"type": "sample"}
    if path.name == "coco_vocabulary.py":
        segments["vocabulary"] = recipe["segments"]["vocabulary"]
    if path.name == "lvis_rare.py":
        names = enumerate(SegmentBank.sample_bank("train").categories, 1)
        entries = [{"id": 7 * place, "name": name, "image_count": place} for place, name in names]
        recipe["vocabulary"] = lvis = str(tmp_path / "lvis.json")
        Path(lvis).write_text(json.dumps({"images": [{}] * 5000, "categories": entries}))
        segments |= {"vocabulary": lvis, "category_weights": {"annotations": lvis}}
    if path.name == "segments_mixed.py":
        segments = {"type": "mix", "banks": [segments, {"type": "sample", "group": "held_out"}]}
    recipe |= {"segments": segments, "backgrounds": {"type": "texture"}}
    report = synthesize(Recipe.from_dict(recipe), tmp_path / "out", 1, progress=False)
    (image,) = (tmp_path / "out/images").iterdir()
    assert cv2.imread(str(image)).shape[:2] == tuple(recipe["canvas"])
    assert report.objects >= 1
    if recipe["sampling"] == "single_category":
        assert report.categories == 1


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablation_differs_in_one_line(name, options):
    path = FOLDER / "ablations" / name
    body = ast.parse(path.read_text()).body
    assert len(body) == 2
    assert all(node.lineno == node.end_lineno for node in body)
    base = load_recipe(FOLDER / "fc_like.py").to_dict()
    changed = load_recipe(path, options.get(name)).to_dict()
    assert [key for key in base if base[key] != changed[key]] == [body[1].targets[0].id]


def test_recipes_of_the_paper():
    """Counts, canvas and sampling as published (arXiv 2510.09110)."""
    fc = load_recipe(FOLDER / "fc_like.py")
    assert (fc.canvas, tuple(fc.layout["counts"]), fc.sampling) == ((1024, 1024), (5, 20), "category")
    assert load_recipe(FOLDER / "sfc.py").sampling == load_recipe(FOLDER / "sgc.py").sampling == "single_category"
    assert load_recipe(FOLDER / "sgc.py").segments == load_recipe(FOLDER / "gc_like.py").segments
    assert load_recipe(FOLDER / "lvis_rare.py").sampling == "weighted"
