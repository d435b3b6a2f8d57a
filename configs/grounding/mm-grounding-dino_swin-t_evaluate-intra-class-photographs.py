# Telling objects of one category apart by words, on photographs.
#   python tools/refer.py data/coco/annotations/instances_val2017.json --images data/coco/val2017 \
#       --out data/coco/referring --outputs intra_class
_base_ = "mm-grounding-dino_swin-t_evaluate-intra-class.py"
root = "data/coco/"
file = "referring/intra_class.json"
val_dataloader = dict(dataset=dict(data_root=root, ann_file=file, data_prefix=dict(img="val2017/")))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + file)
test_evaluator = val_evaluator
