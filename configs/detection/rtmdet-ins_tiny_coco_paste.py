# RTMDet-Ins with objects pasted on the fly, before the mosaic; not in the last 20 epochs, which have no mosaic either.
_base_ = ["mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", "../_base_/mmdet/paste.py"]
pipeline = _base_.train_pipeline
pipeline.insert(2, _base_.paste)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
custom_hooks = [*_base_.custom_hooks, dict(type="VisitHook")]
