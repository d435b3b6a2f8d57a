# A small RTMDet-Ins, trained from scratch on images composed of the bundled sample: about 15 minutes on two cores.
#   python tools/synthesize.py configs/synthesis/sample_ten.py --out data/ten/train --num 2000
#   python tools/synthesize.py configs/synthesis/sample_ten_held_out.py --out data/ten/held_out --num 200 --seed 1
_base_ = "mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py"
classes = ("airplane", "apple", "book", "camel", "car", "dog", "padlock", "shirt", "sports ball", "truck")
norm = dict(type="BN")
model = dict(
    backbone=dict(widen_factor=0.25, norm_cfg=norm, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, norm_cfg=norm),
    bbox_head=dict(num_classes=len(classes), in_channels=64, feat_channels=64, norm_cfg=norm),
    test_cfg=dict(nms_pre=300, max_per_img=50),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="sos_mm.LoadWindowMasks", with_bbox=True),
    dict(type="RandomFlip", prob=0.5),
    # Held-out objects have other colours.
    dict(type="PhotoMetricDistortion", hue_delta=60),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),  # Has no effect, but mmdet requires its scale.
    dict(type="sos_mm.LoadWindowMasks", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        data_root="data/ten/train",
        ann_file="annotations/instances.json",
        data_prefix=dict(img="images/"),
        metainfo=dict(classes=classes),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        data_root="data/ten/held_out",
        ann_file="annotations/instances.json",
        data_prefix=dict(img="images/"),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="data/ten/held_out/annotations/instances.json")
test_evaluator = val_evaluator
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=3, dynamic_intervals=None)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=4e-5, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=0.002))
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=3, max_keep_ckpts=1))
custom_hooks = [dict(type="sos_mm.VisitHook")]
randomness = dict(seed=0)
