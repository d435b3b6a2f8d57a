"""Small random pipelines, saved once, and recipes that use them."""

import pytest

from sos_mm.generation.recipe import DrawingRecipe

pytest.importorskip("torch")
pytest.importorskip("diffusers")
SAMPLING = {
    "stable_diffusion": dict(
        num_inference_steps=2, guidance_scale=5.0, height=32, width=32, negative_prompt="blurred, text"
    ),
    "flux": dict(num_inference_steps=2, guidance_scale=3.5, height=32, width=32, max_sequence_length=32),
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The folders of the pipelines, by their names in `SAMPLING`."""
    from tests.helpers.pipelines import save_flux, save_stable_diffusion

    root = tmp_path_factory.mktemp("models")
    return {"stable_diffusion": save_stable_diffusion(root / "sd"), "flux": save_flux(root / "flux")}


@pytest.fixture
def recipe(models):
    """A recipe of twelve images, of which all are kept: random images, and a disc cut out of each."""
    return recipe_of(models)


def recipe_of(models, name="stable_diffusion", **changed) -> DrawingRecipe:
    settings = dict(
        categories=["mug", "dog"],
        model=dict(source=str(models[name]), licence="none: random weights"),
        sampling=SAMPLING[name],
        cutter=dict(type="tests.helpers.cutters.DiscCutter"),
        prompts=dict(type="templates", per_category=3),
        images_per_prompt=2,
        batch_size=3,
        shard_size=5,
        filters=dict(area=(0.0, 1.0), soft=1.0, duplicates=None),
    )
    return DrawingRecipe.from_dict({**settings, **changed})
