# Ablation: plain cross-attention to f at one scale in the AFIM's place.
_base_ = "sod_diffusion_swinb.py"

model = dict(neck=dict(levels=1), decode_head=dict(afim=dict(_delete_=True, type="PlainCrossAttention")))
