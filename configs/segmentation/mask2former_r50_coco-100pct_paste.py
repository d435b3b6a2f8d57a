# COCO with objects pasted on the fly. The sampler counts visits, so that draws are reproducible in an iteration-based
# run too.
_base_ = ["mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "../_base_/mmdet/paste.py"]
pipeline = _base_.train_pipeline
pipeline.insert(2, _base_.paste)
coco = dict(_base_.train_dataloader.dataset, pipeline=pipeline)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="SourceRatioSampler", batch_size=2, source_ratio=[1]),
    batch_sampler=dict(_delete_=True, type="SourceRatioBatchSampler"),
    dataset=dict(_delete_=True, type="ConcatDataset", datasets=[coco]),
)
custom_hooks = [dict(type="VisitHook")]
