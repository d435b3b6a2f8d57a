# 1 % of COCO with objects pasted on the fly.
_base_ = "mask2former_r50_coco_100_paste.py"
train_dataloader = dict(dataset=dict(ann_file="annotations/instances_train2017_1percent.json"))
