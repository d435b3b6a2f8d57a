"""Composition: from a background, a layout and segments to an image whose masks are exact."""

from sos_mm.composition.backgrounds import Photo, PhotoBackgrounds, sample_backgrounds
from sos_mm.composition.compositor import compose
from sos_mm.composition.layout import Layout, LayoutError, LayoutPrior, StructuredLayout, build_layout
from sos_mm.composition.scene import Placement, Scene, SceneObject

__all__ = [
    "Layout",
    "LayoutError",
    "LayoutPrior",
    "Photo",
    "PhotoBackgrounds",
    "Placement",
    "Scene",
    "SceneObject",
    "StructuredLayout",
    "build_layout",
    "compose",
    "sample_backgrounds",
]
