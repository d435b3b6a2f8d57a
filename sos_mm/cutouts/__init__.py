"""Cut-outs from images: the salient objects of photographs as RGBA images with a transparent background."""

from sos_mm.cutouts.cutting import CutRules, cut_segments
from sos_mm.cutouts.factory import build_cutter, register_cutter
from sos_mm.cutouts.hypotheses import Hypothesis, find_hypotheses
from sos_mm.cutouts.onnx_cutter import OnnxCutter
from sos_mm.cutouts.photographs import Photograph, find_photographs
from sos_mm.cutouts.writing import CutoutWriter
from sos_mm.segments.foreground import cut_out, estimate_foreground

__all__ = [
    "CutRules",
    "CutoutWriter",
    "Hypothesis",
    "OnnxCutter",
    "Photograph",
    "build_cutter",
    "cut_out",
    "cut_segments",
    "estimate_foreground",
    "find_hypotheses",
    "find_photographs",
    "register_cutter",
]
