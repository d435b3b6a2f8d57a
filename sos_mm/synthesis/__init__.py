"""Synthesis: data sets of composed images, written in shards by any number of processes."""

from sos_mm.synthesis.engine import SynthesisReport, synthesize
from sos_mm.synthesis.estimation import Estimate, estimate
from sos_mm.synthesis.recipe import Recipe, load_recipe
from sos_mm.synthesis.reproduction import reproduce
from sos_mm.synthesis.scenes import SceneMaker

__all__ = ["Estimate", "Recipe", "SceneMaker", "SynthesisReport", "estimate", "load_recipe", "reproduce", "synthesize"]
