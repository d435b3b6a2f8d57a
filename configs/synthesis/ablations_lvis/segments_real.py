# Objects cut out of COCO: `python tools/index_segments.py data/coco.arrow type=coco images=data/coco/train2017
# annotations=data/coco/annotations/instances_train2017.json`.
_base_ = "../fc_like.py"
segments = dict(_delete_=True, type="index", path="data/coco.arrow")
