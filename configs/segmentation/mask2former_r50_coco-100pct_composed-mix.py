# COCO and 50,000 composed images of synthetic and of COCO's own objects (configs/synthesis/coco_vocabulary_mix.py),
# in equal shares.
_base_ = "mask2former_r50_coco-100pct_composed.py"
composed = dict(_base_.composed, data_root=_base_.composed_root + "COCO-mix-50K/")
train_dataloader = dict(dataset=dict(datasets=[_base_.coco, composed]))
