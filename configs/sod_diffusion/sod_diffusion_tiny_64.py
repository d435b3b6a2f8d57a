# The tiny model on images of half the side, for studies of many runs: tools/benchmarks/saliency_study.py.
_base_ = "sod_diffusion_tiny.py"

load_image, load_mask, flip, pack = (_base_.train_pipeline[index] for index in (0, 1, 3, 4))
resize = dict(type="ResizeSaliency", scale=(64, 64), keep_ratio=False)
train_pipeline = [load_image, load_mask, resize, flip, pack]
test_pipeline = [load_image, resize, load_mask, pack]
tta_pipeline = [load_image, resize, _base_.tta_pipeline[-1]]
model = dict(backbone=dict(img_size=64))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
