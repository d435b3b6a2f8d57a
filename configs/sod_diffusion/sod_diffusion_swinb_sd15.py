# Stable Diffusion 1.5 as base: a narrower context, as many heads at every level, and convolutions for projections.
_base_ = "../sod_diffusion_swinb.py"
base_model = "{{$SOS_MM_BASE_MODEL:stable-diffusion-v1-5/stable-diffusion-v1-5}}"

architecture = dict(attention_head_dim=8, cross_attention_dim=768, use_linear_projection=False)
model = dict(
    codec=dict(pretrained=base_model), decode_head=dict(unet=dict(pretrained=base_model, architecture=architecture))
)
