# The method as published, with the defects of its released code mended.
_base_ = [
    "_base_/models/sod_diffusion_swinb.py",
    "_base_/datasets/saliency.py",
    "_base_/schedules/sod_diffusion.py",
    "_base_/default_runtime.py",
]
# With the optimiser 12 GB each.
default_hooks = dict(checkpoint=dict(interval=10))
# Tested and saved are the weights averaged over about a thousand steps.
custom_hooks = [dict(type="VisitHook"), dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.001)]
