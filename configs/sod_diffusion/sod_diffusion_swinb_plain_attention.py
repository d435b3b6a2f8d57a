# Ablation: plain cross-attention to f at one scale, with a learned projection, in the place of our AFIM.
_base_ = "../sod_diffusion_swinb.py"

model = dict(neck=dict(levels=1), decode_head=dict(afim=dict(_delete_=True, type="PlainCrossAttention")))
