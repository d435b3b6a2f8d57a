"""The recipes that are shipped: each is valid, and an ablation changes one thing alone."""

import ast
import json
from pathlib import Path

import cv2
import pytest

from sos_mm.segments import SegmentBank
from sos_mm.synthesis import Recipe, load_recipe, synthesize

pytest.importorskip("mmengine.config")
FOLDER = Path(__file__).resolve().parents[2] / "configs/synthesis"
ABLATIONS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("ablations*/*.py"))


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
    if recipe["segments"].get("vocabulary") == "coco":
        segments["vocabulary"] = "coco"
    if path.name == "lvis_rare.py":
        names = enumerate(SegmentBank.sample_bank("train").categories, 1)
        entries = [{"id": 7 * place, "name": name, "image_count": place} for place, name in names]
        recipe["vocabulary"] = lvis = str(tmp_path / "lvis.json")
        Path(lvis).write_text(json.dumps({"images": [{}] * 5000, "categories": entries}))
        segments |= {"vocabulary": lvis, "category_weights": {"annotations": lvis}}
    if recipe["segments"]["type"] == "mix":
        groups = ["train", "held_out", "all"][: len(recipe["segments"]["banks"])]
        segments |= {"type": "mix", "banks": [{"type": "sample", "group": group} for group in groups]}
    for step in recipe["effects"] if isinstance(recipe["effects"], list) else ():
        if isinstance(step, dict) and step.get("relighter", {}).get("type") == "ICLightRelighter":
            step["relighter"] = {"type": "GradientRelighter"}
    recipe |= {"segments": segments, "backgrounds": {"type": "texture"}}
    report = synthesize(Recipe.from_dict(recipe), tmp_path / "out", 1, progress=False)
    (image,) = (tmp_path / "out/images").iterdir()
    assert cv2.imread(str(image)).shape[:2] == tuple(recipe["canvas"])
    assert report.objects >= 1
    if recipe["sampling"] == "single_category":
        assert report.categories == 1


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablation_differs_in_one_key(name, options):
    """From the recipe that it inherits."""
    path = FOLDER / name
    base_line, change = ast.parse(path.read_text()).body
    base = load_recipe(path.parent / ast.literal_eval(base_line.value)).to_dict()
    changed = load_recipe(path, options.get(path.name)).to_dict()
    assert [key for key in base if base[key] != changed[key]] == [change.targets[0].id]


def test_ablations_of_the_paper(options):
    """Rows of one table differ in what the table is about; see configs/published_figures.json for the rows."""
    recipes = {path.stem: load_recipe(path, options.get(path.name)) for path in (FOLDER / "ablations").glob("*.py")}
    naive, blended = recipes["naive"], recipes["relit_blended"]
    assert (naive.vocabulary, naive.layout["type"], naive.effects) == ("coco", "StructuredLayout", [])
    for name in ("layout_random", "layout_coco", "layout_depth"):
        assert (recipes[name].effects, recipes[name].segments) == (naive.effects, naive.segments)
        assert recipes[name].layout["flip"] == 0.0
    assert recipes["layout_random"].layout["sizes"] == "own"
    for name, step in (
        ("relit", "Relight"),
        ("relit_blended", "AreaWeightedBlend"),
        ("relit_iclight", "Relight"),
        ("relit_blended_iclight", "AreaWeightedBlend"),
    ):
        assert (recipes[name].layout, recipes[name].segments) == (naive.layout, naive.segments)
        assert [each["type"] for each in recipes[name].effects] == [step]
        relighter = "ICLightRelighter" if "iclight" in name else "GradientRelighter"
        assert recipes[name].effects[0]["relighter"] == {"type": relighter}
    for name in ("relit_blended_released", "relit_blended"):
        (classical,), (generative,) = recipes[name].effects, recipes[f"{name}_iclight"].effects
        assert {**classical, "relighter": {"type": "ICLightRelighter"}} == generative
    released = recipes["relit_blended_released"].build_steps()[0]
    assert (released.low, released.high, released.keep, released.lone_rank, released.chroma) == (
        0.1,
        0.7,
        "large",
        0.0,
        "original",
    )
    paper = blended.build_steps()[0]
    assert (paper.low, paper.high, paper.keep, paper.chroma) == (0.3, 0.9, "small", "blend")
    real, subjects, synthetic = "data/coco.arrow", "data/subject200k.arrow", "data/sos/FC/segments"
    for name, places in {
        "segments_real": {real},
        "segments_real_subject200k": {real, subjects},
        "relit_blended": {real, synthetic},
        "segments_real_subject200k_sos": {real, subjects, synthetic},
    }.items():
        banks = recipes[name].segments.get("banks", [recipes[name].segments])
        assert {bank.get("path", bank.get("root")) for bank in banks} == places
        assert (recipes[name].layout, recipes[name].effects) == (blended.layout, blended.effects)


def test_real_objects_of_a_part():
    """Beside a part of COCO, one option takes real objects from that part alone."""
    mixed = load_recipe(FOLDER / "coco_vocabulary_mix.py", {"segments.banks.1.path": "data/coco_1percent.arrow"})
    alone = load_recipe(FOLDER / "coco_vocabulary.py")
    assert mixed.segments["banks"] == [alone.segments, {"type": "index", "path": "data/coco_1percent.arrow"}]
    assert {**mixed.to_dict(), "segments": 0} == {**alone.to_dict(), "segments": 0}


def test_recipes_of_the_paper():
    """Counts, canvas and sampling as published (arXiv 2510.09110)."""
    fc = load_recipe(FOLDER / "fc_like.py")
    assert (fc.canvas, tuple(fc.layout["counts"]), fc.sampling) == ((1024, 1024), (5, 20), "category")
    assert load_recipe(FOLDER / "sfc.py").sampling == load_recipe(FOLDER / "sgc.py").sampling == "single_category"
    assert load_recipe(FOLDER / "sgc.py").segments == load_recipe(FOLDER / "gc_like.py").segments
    assert load_recipe(FOLDER / "lvis_rare.py").sampling == "weighted"


def test_effects_have_an_old_name():
    """The same recipe, hash included; both names at once are refused."""
    old, new = (Recipe(canvas=(64, 64), **{name: "default"}) for name in ("light", "effects"))
    assert old == new
    assert old.sha256 == new.sha256
    assert "light" not in old.to_dict()
    assert Recipe.from_dict({"canvas": (64, 64), "light": "default"}) == new
    assert Recipe(canvas=(64, 64), light=None) == Recipe(canvas=(64, 64), effects=None) == Recipe(canvas=(64, 64))
    with pytest.raises(ValueError, match="`light` is the old name of `effects`"):
        Recipe(canvas=(64, 64), effects="default", light="default")
