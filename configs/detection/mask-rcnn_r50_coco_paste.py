# A config of mmdet with SegmentPaste added by one line, after the loading of annotations.
_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
pipeline = _base_.train_pipeline
pipeline.insert(2, dict(type="sos_mm.SegmentPaste", bank=dict(type="sample"), classes="coco", unknown="skip"))
train_dataloader = dict(dataset=dict(pipeline=pipeline))
randomness = dict(seed=0)
