# Real data and 400,000 composed images, of frequent categories.
_base_ = "mm-grounding-dino_swin-t_composed-400k.py"
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_ratio),
    dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, *_base_.replay]),
)
