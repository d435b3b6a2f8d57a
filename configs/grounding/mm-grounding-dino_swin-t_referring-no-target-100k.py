# The same, with single expressions in addition to captions of several. A detector that is trained only on captions with
# at least one target finds something for any text. A quarter of the single expressions have no target, as in gRefCOCO:
# each is a near miss of a true one, with another object, attribute, relation or number.
_base_ = "mm-grounding-dino_swin-t_referring-100k.py"
single = dict(_base_.expressions, ann_file="annotations/odvg_expressions.jsonl")
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_pair_ratio),
    dataset=dict(datasets=[_base_.expressions, single, *_base_.replay]),
)
