# The 80 categories of COCO, of synthetic objects and of real ones cut out of COCO, as SOS mixes them. The equal shares
# are ours. With a subset of COCO, real objects must come from that subset only:
#   --cfg-options segments.banks.1.path=data/coco_1percent.arrow
_base_ = "coco_vocabulary.py"
segments = dict(
    _delete_=True,
    type="mix",
    banks=[{{_base_.segments}}, dict(type="index", path="data/coco.arrow")],
    vocabulary="coco",
)
