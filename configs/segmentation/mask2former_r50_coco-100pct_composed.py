# COCO and 50,000 composed images of synthetic objects (configs/synthesis/coco_vocabulary.py), in equal shares.
_base_ = "mask2former_r50_coco-100pct.py"
coco = _base_.train_dataloader.dataset
composed = dict(
    coco,
    data_root=_base_.composed_root + "COCO-50K/",
    ann_file="annotations/instances.json",
    data_prefix=dict(img="images/"),
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="SourceRatioSampler", batch_size=2, source_ratio=[1, 1]),
    batch_sampler=dict(_delete_=True, type="SourceRatioBatchSampler"),
    dataset=dict(_delete_=True, type="ConcatDataset", datasets=[coco, composed]),
)
custom_hooks = [dict(type="VisitHook")]
