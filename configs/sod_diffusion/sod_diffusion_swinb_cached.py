# Latents of the training images and masks are computed once and read from disk (0.8 GB for DUTS-TR with flips).
_base_ = "../sod_diffusion_swinb.py"

custom_hooks = [
    dict(type="VisitHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.001),
    dict(type="LatentCacheHook", folder="work_dirs/latents"),
]
