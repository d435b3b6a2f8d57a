# Synthetic objects and those of `segments_real.py`, half of each.
_base_ = "../fc_like.py"
segments = dict(_delete_=True, type="mix", banks=[{{_base_.segments}}, dict(type="index", path="data/coco.arrow")])
