# 50,000 composed images of frequent categories: two samples by category for one by phrase.
_base_ = "../_base_/mmdet/grounding.py"
root = _base_.composed_root + "FC-50K/"
train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.category, data_root=root), dict(_base_.phrase, data_root=root)])
)
