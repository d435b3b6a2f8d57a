# One GPU of 24 GB in place of eight: bf16, gradient checkpointing, and eight batches of 4 a step of the optimiser.
_base_ = "../sod_diffusion_swinb.py"

model = dict(backbone=dict(checkpoint=True), decode_head=dict(unet=dict(checkpoint=True)))
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bfloat16", accumulative_counts=8)
