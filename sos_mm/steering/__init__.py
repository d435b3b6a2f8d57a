"""Steering: from a detector's failures on labelled images to the recipe of the next composed data set."""

from sos_mm.steering.failures import Failures, Tally, count_failures
from sos_mm.steering.judging import Outcome, judge
from sos_mm.steering.recipe_file import write_next_recipe
from sos_mm.steering.rules import Changes, Rules, next_changes

__all__ = [
    "Changes",
    "Failures",
    "Outcome",
    "Rules",
    "Tally",
    "count_failures",
    "judge",
    "next_changes",
    "write_next_recipe",
]
