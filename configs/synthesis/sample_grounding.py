# Small images for grounding: the ten categories of `sample_ten.py`, two to four objects an image, gradient backgrounds.
# tools/benchmarks/grounding_sample.py composes them and converts them to referring sets.
_base_ = "sample_ten.py"
backgrounds = dict(type="gradient")
layout = dict(counts=(2, 4), shares=dict(large=0.8, medium=0.2, small=0.0))
formats = ["lvis", "odvg", dict(type="objects", masks=False)]
