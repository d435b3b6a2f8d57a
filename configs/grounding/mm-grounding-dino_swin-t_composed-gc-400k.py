# 400,000 composed images of general categories.
_base_ = "mm-grounding-dino_swin-t_composed-400k.py"
root = _base_.composed_root + "GC-400K/"
train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.category, data_root=root), dict(_base_.phrase, data_root=root)])
)
