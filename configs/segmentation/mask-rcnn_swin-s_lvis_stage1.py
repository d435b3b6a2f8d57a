# The first stage: 50,000 composed images with LVIS's categories (configs/synthesis/lvis_rare.py), 12 epochs.
_base_ = "mask-rcnn_swin-s_lvis.py"
train_dataloader = dict(
    dataset=dict(
        dataset=dict(data_root=_base_.composed_root + "LVIS-50K/", ann_file="annotations/lvis_v1.json"),
    )
)
max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
