# Ablation: without the auxiliary loss.
_base_ = "../sod_diffusion_swinb.py"

model = dict(decode_head=dict(loss_aux=None))
