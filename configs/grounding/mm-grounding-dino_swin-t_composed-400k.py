# 400,000 composed images of frequent categories: two samples by category for one by phrase.
_base_ = "../_base_/mmdet/grounding.py"
root = _base_.composed_root + "FC-400K/"
train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.category, data_root=root), dict(_base_.phrase, data_root=root)])
)
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[4], gamma=0.1)]
