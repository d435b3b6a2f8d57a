# Ablation: no second encoder. The U-Net is given the latents alone: there is no feature to fuse, nothing for its
# cross-attention to read, which is taken out, and nothing that an auxiliary loss could train.
_base_ = "../sod_diffusion_swinb.py"

model = dict(backbone=None, neck=None, decode_head=dict(in_channels=None, afim=None, loss_aux=None))
