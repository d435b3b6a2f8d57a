# 50 % of COCO and 50,000 composed images, in equal shares.
_base_ = "mask2former_r50_coco-100pct_composed.py"
coco = dict(_base_.coco, ann_file="annotations/instances_train2017_50percent.json")
train_dataloader = dict(dataset=dict(datasets=[coco, _base_.composed]))
