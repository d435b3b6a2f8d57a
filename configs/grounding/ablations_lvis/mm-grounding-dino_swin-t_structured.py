# Our ablations: MM-Grounding-DINO on LVIS minival; those of SOS are in configs/segmentation/ablations. The base: 50,000
# images of configs/synthesis/fc_like.py, by category alone. The detector starts from pretrained encoders only, so that
# it learns detection from composed images alone.
_base_ = [
    "mmdet::mm_grounding_dino/lvis/grounding_dino_swin-t_pretrain_zeroshot_mini-lvis.py",
    "../../_base_/mmdet/places.py",
]
model = dict(
    type="CappedGroundingDINO",
    bbox_head=dict(type="CappedGroundingDINOHead"),
    encoder=dict(num_cp=0),
    language_model=dict(name=_base_.language_model),
)
train_pipeline = _base_.train_pipeline
train_pipeline[-2].update(tokenizer_name=_base_.language_model)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CompactODVGDataset",
        data_root=_base_.composed_root + "FC-50K/",
        ann_file="annotations/odvg_detection.jsonl",
        label_map_file="annotations/odvg_label_map.json",
        data_prefix=dict(img="images/"),
        return_classes=True,
        pipeline=train_pipeline,
    )
)
auto_scale_lr = dict(base_batch_size=128)
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[6], gamma=0.1),
]
