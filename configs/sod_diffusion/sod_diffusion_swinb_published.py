# The plain published form, with the bugs of its released code (see sod_diffusion_swinb_released.py) fixed: one context
# for all levels, which is f with its 64 channels repeated to the width of text; their noise, data, schedule, ensemble.
_base_ = ["../_base_/sod_diffusion_swinb_published.py", "../_base_/datasets/saliency_published.py"]

model = dict(
    backbone=dict(drop_path_rate=0.2),
    neck=dict(levels=1),
    decode_head=dict(afim=dict(_delete_=True, type="PlainCrossAttention", tile=True), aux_target="bilinear"),
    train_cfg=dict(noise=dict(levels=6, discount=0.3, annealed=False)),
    test_cfg=dict(
        num_inference_steps=10, ensemble_size=10, reduction="median", stretch="released", upsampling="bicubic"
    ),
)
