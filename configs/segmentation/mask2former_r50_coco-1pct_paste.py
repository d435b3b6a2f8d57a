# 1 % of COCO with objects pasted on the fly.
_base_ = "mask2former_r50_coco-100pct_paste.py"
part = dict(_base_.coco, ann_file="annotations/instances_train2017_1percent.json")
train_dataloader = dict(dataset=dict(datasets=[part]))
