# Real data and 100,000 composed images, half of frequent, half of general categories.
_base_ = "mm-grounding-dino_swin-t_composed-mix-100k.py"
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_mix_ratio),
    dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, *_base_.replay]),
)
