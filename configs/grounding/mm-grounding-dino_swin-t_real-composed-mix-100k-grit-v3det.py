# The same with V3Det and GRIT, from the weights trained on all real data. The shares of these two are ours.
_base_ = "mm-grounding-dino_swin-t_real-composed-mix-100k.py"
load_from = _base_.from_all
train_dataloader = dict(
    sampler=dict(source_ratio=[*_base_.joint_mix_ratio, 1, 1]),
    dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, _base_.v3det, _base_.grit]),
)
