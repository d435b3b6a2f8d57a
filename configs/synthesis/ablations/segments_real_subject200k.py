# Objects cut out of COCO, and those of Subjects200K, half of each.
_base_ = "segments_real.py"
segments = dict(
    _delete_=True,
    type="mix",
    banks=[{{_base_.segments}}, dict(type="index", path="data/subject200k.arrow")],
    vocabulary="coco",
)
