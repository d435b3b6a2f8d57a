# 10 % of COCO. The file comes from
# `python tools/make_subsets.py data/coco/annotations/instances_train2017.json --out data/coco/annotations`.
_base_ = "mask2former_r50_coco-100pct.py"
train_dataloader = dict(dataset=dict(ann_file="annotations/instances_train2017_10percent.json"))
