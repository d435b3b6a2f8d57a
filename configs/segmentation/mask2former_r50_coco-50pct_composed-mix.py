# 50 % of COCO and 50,000 composed images of synthetic objects and of objects of that subset of COCO, in equal shares.
_base_ = "mask2former_r50_coco-50pct_composed.py"
composed = dict(_base_.composed, data_root=_base_.composed_root + "COCO-mix-50percent-50K/")
train_dataloader = dict(dataset=dict(datasets=[_base_.coco, composed]))
