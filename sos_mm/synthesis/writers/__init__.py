"""Writers: plain functions from a scene to the files that a data set format has for it."""

from sos_mm.synthesis.writers.saliency import IMAGE_FORMATS, saliency_files

# Name in a recipe -> function (scene, name, image_format) -> {path in the data set: content}.
WRITERS = {"saliency": saliency_files}

__all__ = ["IMAGE_FORMATS", "WRITERS", "saliency_files"]
