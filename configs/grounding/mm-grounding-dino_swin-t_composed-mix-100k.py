# 50,000 composed images of frequent and 50,000 of general categories.
_base_ = "../_base_/mmdet/grounding.py"
roots = [_base_.composed_root + "FC-50K/", _base_.composed_root + "GC-50K/"]
train_dataloader = dict(
    sampler=dict(source_ratio=[2, 1, 2, 1]),
    dataset=dict(datasets=[dict(kind, data_root=root) for root in roots for kind in (_base_.category, _base_.phrase)]),
)
