# Small enough to learn from scratch on two CPU cores in minutes: the quickstart composes its data and trains it.
_base_ = "../sod_diffusion_swinb.py"

model = dict(
    backbone=dict(
        model_name="swin_tiny_patch4_window7_224",
        img_size=128,
        pretrained=False,
        embed_dim=32,
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 4, 8),
        window_size=4,
        drop_path_rate=0.0,
    ),
    neck=dict(out_channels=32, levels=2),
    codec=dict(_delete_=True, type="SpaceToDepthCodec", stride=8),
    decode_head=dict(
        in_channels=32,
        unet=dict(
            pretrained=None,
            architecture=dict(
                _delete_=True,
                in_channels=192,
                out_channels=192,
                down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
                block_out_channels=[64, 128],
                layers_per_block=1,
                attention_head_dim=[2, 4],
                cross_attention_dim=64,
                norm_num_groups=16,
                use_linear_projection=True,
            ),
        ),
        # Too few steps to learn when to read what, or to need coarse noise over so few positions.
        afim=dict(gate=False),
        # The 192 channels of a latent say much the same: averaged, they show the mask through noise that would
        # hide it from a VAE's 4. With betas 17 times as large, most timesteps again have to look at the image.
        scheduler=dict(beta_start=0.015, beta_end=0.2),
    ),
    train_cfg=dict(noise=None),
    test_cfg=dict(num_inference_steps=4, ensemble_size=1),
)

train_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="LoadSaliencyMask"),
    dict(type="ResizeSaliency", scale=(128, 128), keep_ratio=False),
    dict(type="FlipSaliency", prob=0.5),
    dict(type="PackSaliencyInputs"),
]
test_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="ResizeSaliency", scale=(128, 128), keep_ratio=False),
    dict(type="LoadSaliencyMask"),
    dict(type="PackSaliencyInputs"),
]
tta_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="ResizeSaliency", scale=(128, 128), keep_ratio=False),
    _base_.tta_pipeline[-1],
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(data_root="work_dirs/quickstart/data/train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(data_root="work_dirs/quickstart/data/held_out", pipeline=test_pipeline),
)
test_dataloader = val_dataloader

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", T_max=max_epochs, eta_min_ratio=0.02, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1))
custom_hooks = [dict(type="VisitHook")]
