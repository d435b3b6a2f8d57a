# Expressions over 50,000 images of frequent and 50,000 of general categories, after
# mm-grounding-dino_swin-t_real-composed-mix-100k.py: 5 epochs at 4e-4.
_base_ = "mm-grounding-dino_swin-t_referring-100k.py"
load_from = "work_dirs/mm-grounding-dino_swin-t_real-composed-mix-100k/epoch_10.pth"
optim_wrapper = dict(optimizer=dict(lr=4e-4))
roots = [_base_.composed_root + "FC-50K/", _base_.composed_root + "GC-50K/"]
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_pair_ratio),
    dataset=dict(datasets=[*(dict(_base_.expressions, data_root=root) for root in roots), *_base_.replay]),
)
