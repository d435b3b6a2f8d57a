# Fine-tuning on images with objects of a single category, to learn to distinguish them by their phrases, after
# mm-grounding-dino_swin-t_real-composed-100k.py: 5 epochs at a learning rate of 2e-4.
_base_ = "mm-grounding-dino_swin-t_referring-100k.py"
roots = [_base_.composed_root + "SFC-50K/", _base_.composed_root + "SGC-50K/"]
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_pair_ratio),
    dataset=dict(datasets=[*(dict(_base_.uncropped, data_root=root) for root in roots), *_base_.replay]),
)
