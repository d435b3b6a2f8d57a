# A depth map as second input: its latent lies beside the image's, and its features are fused with the image's.
_base_ = [
    "_base_/models/sod_diffusion_swinb.py",
    "_base_/datasets/saliency_rgbd.py",
    "_base_/schedules/sod_diffusion.py",
    "_base_/default_runtime.py",
]
default_hooks = dict(checkpoint=dict(interval=10))
custom_hooks = [dict(type="VisitHook"), dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.001)]

model = dict(
    modalities=2,
    data_preprocessor=dict(_delete_=True, type="MultiModalPreprocessor"),
    decode_head=dict(unet=dict(image_latents=2)),
)
