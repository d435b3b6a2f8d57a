"""The recipes of drawn segments that are shipped: valid, with the licence and the arguments of their models."""

from inspect import signature
from pathlib import Path

import pytest

pytest.importorskip("mmengine.config")
diffusers = pytest.importorskip("diffusers")

from sos_mm.generation.model_facts import KNOWN_MODELS  # noqa: E402
from sos_mm.generation.recipe import DrawingRecipe, PairsRecipe, build_bank_recipe  # noqa: E402
from sos_mm.synthesis.recipe import read_config  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "configs/segments"
PIPELINES = {
    "flux_dev": "FluxPipeline",
    "flux_schnell": "FluxPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sd_turbo": "StableDiffusionPipeline",
}


def test_every_recipe_has_its_pipeline():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*PIPELINES, "subjects200k"}


def test_recipe_of_pairs_is_valid():
    recipe = build_bank_recipe(read_config(FOLDER / "subjects200k.py"))
    assert isinstance(recipe, PairsRecipe)
    drawn = DrawingRecipe.from_dict(read_config(FOLDER / "sdxl.py"))
    assert (recipe.filters, recipe.cutter, recipe.second_cutter) == (drawn.filters, drawn.cutter, drawn.second_cutter)
    assert (recipe.subject_pairs().pictures, recipe.subject_pairs().least_quality) == (2, 5)


@pytest.mark.parametrize("name", PIPELINES)
def test_recipe_is_valid(name):
    recipe = DrawingRecipe.from_dict(read_config(FOLDER / f"{name}.py"))
    facts = KNOWN_MODELS[recipe.model["source"]]
    assert recipe.model["licence"] == facts.licence
    assert ("variant='fp16'" in facts.note) == (recipe.model.get("variant") == "fp16")
    assert set(recipe.sampling) <= set(signature(getattr(diffusers, PIPELINES[name]).__call__).parameters)
    row = next(line for line in (FOLDER / "README.md").read_text().splitlines() if f"`{name}.py`" in line)
    assert facts.licence in row
    assert f"{round(facts.gigabytes, 1) if facts.gigabytes < 10 else round(facts.gigabytes):g} GB" in row
    assert len(recipe.write_prompts(0)) == 80 * 20
