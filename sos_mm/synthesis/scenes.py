"""Generates the scene of an image from a recipe and the image's index."""

from collections.abc import Collection

from sos_mm.composition.backgrounds.photographs import PhotoBackgrounds
from sos_mm.composition.compositor import compose
from sos_mm.composition.planning import draft_and_redraw, plan_and_load
from sos_mm.composition.scene import Scene
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis.recipe import Recipe

# A scene without objects is drawn again, at most so often.
_TRIES = 10


class SceneMaker:
    """Generates the scenes of a recipe; each depends only on the recipe, the seed and its index.

    Args:
        recipe: The recipe; its segments and backgrounds are opened here.
        seed: The seed of the data set.
        left_out: Names of photographs of the backgrounds that are not used.
    """

    def __init__(self, recipe: Recipe, seed: int, left_out: Collection[str] = ()):
        self.recipe, self.seed = recipe, seed
        self.bank = recipe.build_bank()
        self.backgrounds = recipe.build_backgrounds()
        self.leave_out(left_out)
        self.layout = recipe.build_layout()
        self.steps = recipe.build_steps()

    def leave_out(self, photographs: Collection[str]) -> None:
        """Uses the backgrounds without some photographs, given by their names."""
        if photographs:
            assert isinstance(self.backgrounds, PhotoBackgrounds), "others hold no photographs"
            self.backgrounds = self.backgrounds.without(photographs)

    def make(self, index: int) -> Scene:
        """Generates the scene of image ``index``; it holds at least one object.

        Raises:
            LayoutError: If no layout was found.
            RuntimeError: If all objects of all attempts were smaller than the recipe's ``min_area``.
        """
        for visit in range(_TRIES):
            scene = self._draw(index, visit)
            if scene.objects:
                return scene
        raise RuntimeError(
            f"Image {index} came out without an object {_TRIES} times: lower `min_area` (now {self.recipe.min_area}) "
            "or ask for larger objects in `layout`."
        )

    def _draw(self, index: int, visit: int) -> Scene:
        layout_rng, segment_rng, background_rng, light_rng = (
            generator(self.seed, purpose, index, visit)
            for purpose in (Purpose.LAYOUT, Purpose.SEGMENTS, Purpose.BACKGROUND, Purpose.LIGHT)
        )
        height, width = self.recipe.canvas
        canvas = (height, width)
        number = self.layout.draw_count(layout_rng)
        first = self.bank.sample(segment_rng, number, self.recipe.sampling)
        draft, drawn = draft_and_redraw(self.layout, layout_rng, self.bank, first, canvas, segment_rng=segment_rng)
        layout, segments = plan_and_load(self.layout, layout_rng, self.bank, drawn, canvas, draft)
        return compose(
            self.backgrounds.sample(background_rng, canvas),
            layout,
            segments,
            min_visible_share=self.recipe.min_visible_share,
            min_area=self.recipe.min_area,
            keep_ignored=self.recipe.keep_ignored,
            steps=self.steps,
            rng=light_rng,
            in_place=True,
        )
