# All three sources, a third of each.
_base_ = "relit_blended.py"
segments = dict(banks=[*_base_.segments.banks, dict(type="index", path="data/subject200k.arrow")])
