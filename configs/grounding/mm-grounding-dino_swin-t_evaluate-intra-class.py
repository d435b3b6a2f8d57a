# Intra-class referring: telling objects of one category apart by an expression, on held-out composed images.
#   python tools/synthesize.py configs/synthesis/sfc.py --out data/sos/SFC-val --num 1000 --seed 1
#   python tools/refer.py data/sos/SFC-val --out data/sos/SFC-val/annotations --outputs intra_class --complete all
_base_ = "mm-grounding-dino_swin-t_evaluate-refcoco.py"
# All objects of a category may be detected.
model = dict(test_cfg=dict(max_per_img=300))
root = _base_.composed_root + "SFC-val/"
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="IntraClassReferringDataset",
        data_root=root,
        ann_file="annotations/intra_class.json",
        data_prefix=dict(img="images/"),
        test_mode=True,
        return_classes=True,
        pipeline=_base_.test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="IntraClassReferringMetric", ann_file=root + "annotations/intra_class.json")
test_evaluator = val_evaluator
