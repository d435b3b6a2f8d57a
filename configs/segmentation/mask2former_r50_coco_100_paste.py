# COCO with objects pasted on the fly.
_base_ = ["mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "../_base_/mmdet/paste.py"]
pipeline = _base_.train_pipeline
pipeline.insert(2, _base_.paste)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
