# Small images to ground words in: the ten categories of `sample_ten.py`, two to four objects an image, smooth colours
# behind them. tools/benchmarks/grounding_sample.py composes them and makes referring sets of them.
_base_ = "sample_ten.py"
backgrounds = dict(type="gradient")
layout = dict(counts=(2, 4), shares=dict(large=0.8, medium=0.2, small=0.0))
formats = ["lvis", "odvg", dict(type="objects", masks=False)]
