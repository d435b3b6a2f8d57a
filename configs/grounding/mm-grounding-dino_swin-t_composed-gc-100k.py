# 100,000 composed images of general categories.
_base_ = "../_base_/mmdet/grounding.py"
root = _base_.composed_root + "GC-100K/"
train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.category, data_root=root), dict(_base_.phrase, data_root=root)])
)
