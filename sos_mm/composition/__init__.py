"""Composition of images with exact masks from backgrounds, layouts and segments."""

from sos_mm.composition.backgrounds.factory import Backgrounds, build_backgrounds
from sos_mm.composition.backgrounds.photographs import Photo, PhotoBackgrounds, sample_backgrounds
from sos_mm.composition.backgrounds.procedural import (
    GradientBackgrounds,
    NoBackgrounds,
    PlainBackgrounds,
    TextureBackgrounds,
)
from sos_mm.composition.compositor import Visibility, compose, render, resolve_visibility
from sos_mm.composition.effects.blending import AreaWeightedBlend, PoissonBlend, Relight
from sos_mm.composition.effects.edges import DepthOfField, EdgeFeather
from sos_mm.composition.effects.grain import GrainMatch, JpegMatch
from sos_mm.composition.effects.light import DirectionalShading, Harmonize
from sos_mm.composition.effects.relighting import (
    BatchRelighter,
    GradientRelighter,
    Relighter,
    build_relighter,
    register_relighter,
)
from sos_mm.composition.effects.shadows import CastShadow, ContactShadow
from sos_mm.composition.effects.step import Step, build_steps, default_light
from sos_mm.composition.layouts.coco import CocoLayout
from sos_mm.composition.layouts.depth import DepthLayout
from sos_mm.composition.layouts.prior import Draft, Layout, LayoutError, LayoutPrior, build_layout
from sos_mm.composition.layouts.random import RandomLayout
from sos_mm.composition.layouts.source_size import SourceSizeLayout
from sos_mm.composition.layouts.structured import StructuredLayout
from sos_mm.composition.scene import IgnoredRegion, Light, Placement, Scene, SceneObject

__all__ = [
    "AreaWeightedBlend",
    "Backgrounds",
    "BatchRelighter",
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
    "Visibility",
    "build_backgrounds",
    "build_layout",
    "build_relighter",
    "build_steps",
    "compose",
    "default_light",
    "register_relighter",
    "render",
    "resolve_visibility",
    "sample_backgrounds",
]
