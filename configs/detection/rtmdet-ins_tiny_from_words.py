# RTMDet-Ins tiny on images composed of drawn segments, judged on labelled images: see docs/from_words.md.
# `sos-mm config detection/rtmdet-ins_tiny_from_words.py` copies it; name your classes here, as in the annotations.
_base_ = "mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py"
classes = ("coffee mug", "desk lamp", "stapler")
annotations = "annotations/instances.json"
model = dict(bbox_head=dict(num_classes=len(classes)))
# Composed images have masks in run lengths, which `poly2mask=False` cannot read.
pipeline, stage2_pipeline = _base_.train_pipeline, _base_.train_pipeline_stage2
for each in (pipeline, stage2_pipeline):
    each[1].update(poly2mask=True)
images = dict(ann_file=annotations, data_prefix=dict(img="images/"), metainfo=dict(classes=classes))
train_dataloader = dict(batch_size=16, dataset=dict(images, pipeline=pipeline, data_root="data/round_1"))
val_dataloader = dict(batch_size=16, dataset=dict(images, data_root="data/labelled"))
test_dataloader = dict(batch_size=16, dataset=dict(images, data_root="data/test"))
val_evaluator = dict(ann_file=f"data/labelled/{annotations}")
test_evaluator = dict(ann_file=f"data/test/{annotations}")
# From COCO's weights; 30 epochs, of which mosaic and mixup leave out the last 5.
load_from = (
    "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet-ins_tiny_8xb32-300e_coco/"
    "rtmdet-ins_tiny_8xb32-300e_coco_20221130_151727-ec670f7e.pth"
)
max_epochs, stage2_epochs = 30, 5
train_cfg = dict(max_epochs=max_epochs, val_interval=5, dynamic_intervals=[(max_epochs - stage2_epochs, 1)])
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-5, by_epoch=False, begin=0, end=200),
    dict(type="CosineAnnealingLR", eta_min=2e-5, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=0.0004))
custom_hooks = [
    _base_.custom_hooks[0],
    dict(_base_.custom_hooks[1], switch_epoch=max_epochs - stage2_epochs, switch_pipeline=stage2_pipeline),
    dict(type="sos_mm.VisitHook"),
]
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1))
randomness = dict(seed=0)
del each, images
