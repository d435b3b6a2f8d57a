# Fine-tuning on images whose objects are all of one category, to tell them apart, after composed_100k.py: 5 epochs at
# 2e-4.
_base_ = "referring.py"
optim_wrapper = dict(optimizer=dict(lr=2e-4))
roots = [_base_.composed_root + "SFC-50K/", _base_.composed_root + "SGC-50K/"]
train_dataloader = dict(
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=[dict(_base_.phrase, data_root=root, pipeline=_base_.pipeline) for root in roots]),
)
