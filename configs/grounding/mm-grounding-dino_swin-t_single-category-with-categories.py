# The same, with each composed set used as detection data and as grounding data, in SOS's ratios for that.
_base_ = "mm-grounding-dino_swin-t_single-category.py"
kinds = [_base_.category, _base_.uncropped]
train_dataloader = dict(
    sampler=dict(source_ratio=_base_.joint_mix_ratio),
    dataset=dict(datasets=[*(dict(kind, data_root=root) for root in _base_.roots for kind in kinds), *_base_.replay]),
)
