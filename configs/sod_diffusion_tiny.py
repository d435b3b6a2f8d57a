# Small enough to learn from scratch on two CPU cores in minutes: the quickstart trains it.
_base_ = "sod_diffusion_swinb.py"

input_size = (128, 128)
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
    ),
    test_cfg=dict(steps=4, ensemble=1),
)
