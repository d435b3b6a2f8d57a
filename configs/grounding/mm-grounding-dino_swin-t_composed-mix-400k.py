# 200,000 composed images of frequent and 200,000 of general categories.
_base_ = "mm-grounding-dino_swin-t_composed-400k.py"
roots = [_base_.composed_root + "FC-200K/", _base_.composed_root + "GC-200K/"]
train_dataloader = dict(
    sampler=dict(source_ratio=[2, 1, 2, 1]),
    dataset=dict(datasets=[dict(kind, data_root=root) for root in roots for kind in (_base_.category, _base_.phrase)]),
)
