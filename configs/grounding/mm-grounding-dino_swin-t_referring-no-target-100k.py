# The same with expressions one at a time beside captions of several: a detector that only sees captions of which
# something is in the image finds something for any words. A quarter of the expressions mean nothing in their image, as
# in gRefCOCO: each is a near miss of a true one, with another object, attribute, relation or number.
_base_ = "mm-grounding-dino_swin-t_referring-100k.py"
single = dict(_base_.expressions, ann_file="annotations/odvg_expressions.jsonl")
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_pair_ratio),
    dataset=dict(datasets=[_base_.expressions, single, *_base_.replay]),
)
