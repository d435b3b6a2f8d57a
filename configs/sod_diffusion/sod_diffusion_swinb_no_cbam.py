# Ablation: the stages are fused without channel and spatial attention.
_base_ = "../sod_diffusion_swinb.py"

model = dict(neck=dict(attention=False))
