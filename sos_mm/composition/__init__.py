"""Composition: from a background, a layout and segments to an image whose masks are exact."""

from sos_mm.composition.backgrounds import Photo, PhotoBackgrounds, sample_backgrounds
from sos_mm.composition.blending import AreaWeightedBlend, PoissonBlend, Relight
from sos_mm.composition.compositor import compose
from sos_mm.composition.edges import DepthOfField, EdgeFeather
from sos_mm.composition.grain import GrainMatch, JpegMatch
from sos_mm.composition.layout import Draft, Layout, LayoutError, LayoutPrior, build_layout
from sos_mm.composition.layout_coco import CocoLayout
from sos_mm.composition.layout_depth import DepthLayout
from sos_mm.composition.layout_random import RandomLayout
from sos_mm.composition.layout_source_size import SourceSizeLayout
from sos_mm.composition.layout_structured import StructuredLayout
from sos_mm.composition.light import DirectionalShading, Harmonize
from sos_mm.composition.plain_backgrounds import (
    Backgrounds,
    GradientBackgrounds,
    NoBackgrounds,
    PlainBackgrounds,
    TextureBackgrounds,
    build_backgrounds,
)
from sos_mm.composition.relighting import GradientRelighter, Relighter, build_relighter, register_relighter
from sos_mm.composition.scene import IgnoredRegion, Light, Placement, Scene, SceneObject
from sos_mm.composition.shadows import CastShadow, ContactShadow
from sos_mm.composition.steps import Step, build_steps, default_light

__all__ = [
    "AreaWeightedBlend",
    "Backgrounds",
    "CastShadow",
    "CocoLayout",
    "ContactShadow",
    "DepthLayout",
    "DepthOfField",
    "DirectionalShading",
    "Draft",
    "EdgeFeather",
    "GradientBackgrounds",
    "GradientRelighter",
    "GrainMatch",
    "Harmonize",
    "IgnoredRegion",
    "JpegMatch",
    "Layout",
    "LayoutError",
    "LayoutPrior",
    "Light",
    "NoBackgrounds",
    "Photo",
    "PhotoBackgrounds",
    "Placement",
    "PlainBackgrounds",
    "PoissonBlend",
    "RandomLayout",
    "Relight",
    "Relighter",
    "Scene",
    "SceneObject",
    "SourceSizeLayout",
    "Step",
    "StructuredLayout",
    "TextureBackgrounds",
    "build_backgrounds",
    "build_layout",
    "build_relighter",
    "build_steps",
    "compose",
    "default_light",
    "register_relighter",
    "sample_backgrounds",
]
