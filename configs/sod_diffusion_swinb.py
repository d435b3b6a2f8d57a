_base_ = [
    "_base_/models/sod_diffusion_swinb.py",
    "_base_/datasets/saliency.py",
    "_base_/schedules/sod_diffusion.py",
    "_base_/default_runtime.py",
]
# With the optimiser 12 GB each.
default_hooks = dict(checkpoint=dict(interval=10))
