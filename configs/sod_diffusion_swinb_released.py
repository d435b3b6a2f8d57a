# The authors' released behaviour, also for their checkpoints (tools/convert_checkpoint.py). Left out is the search for
# a scale and a shift of each member, which a mask does not have, and the batch-wide stretching of true masks.
_base_ = "sod_diffusion_swinb.py"
schedule = dict(rescale_betas_zero_snr=False, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False)
afim = dict(_delete_=True, type="PlainCrossAttention", tile=True)
model = dict(
    image_range="unit",
    backbone=dict(normalize=False, output_norm=True, always_partition=True),
    neck=dict(_delete_=True, type="ReleasedFusion", out_channels=64),
    decode_head=dict(unet=dict(widen="random"), afim=afim, scheduler=schedule),
    train_cfg=dict(noise=dict(levels=6, discount=0.3, annealed=False)),
    test_cfg=dict(steps=10, ensemble=10, reduction="median", stretch=True),
)
train_cfg, param_scheduler, custom_hooks = dict(max_epochs=500), [], [dict(type="VisitHook")]
train_dataloader = dict(dataset=dict(pipeline={{_base_.test_pipeline}}))
