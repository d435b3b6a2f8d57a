# The same on the benchmark of SOS's authors, by their score, where a box counts for whatever it overlaps enough. The
# file, in their grouped form, and its photographs of COCO and OpenImages V7 are not released.
_base_ = "mm-grounding-dino_swin-t_evaluate-intra-class.py"
model = dict(test_cfg=dict(max_per_img=30))
root = "data/coco/"
file = "mdetr_annotations/single_category_ref_4_19.json"
val_dataloader = dict(dataset=dict(data_root=root, ann_file=file, data_prefix=dict(img="single_category_ref/")))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + file, overlap="any")
test_evaluator = val_evaluator
