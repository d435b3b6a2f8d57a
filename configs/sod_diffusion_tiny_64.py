# The tiny model on pictures of half the side, for studies of many runs: tools/benchmarks/saliency_study.py.
_base_ = "sod_diffusion_tiny.py"

load = [dict(type="LoadSaliencyImage"), dict(type="LoadSaliencyMask")]
train_pipeline = [*load, dict(type="FlipSaliency", prob=0.5), dict(type="PackSaliencyInputs")]
test_pipeline = [*load, dict(type="PackSaliencyInputs")]
model = dict(backbone=dict(img_size=64))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
