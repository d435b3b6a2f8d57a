# SD-Turbo as base: Stable Diffusion 2.1 distilled to few steps, of the same architecture.
_base_ = "sod_diffusion_swinb_1step.py"
base_model = "{{$SOS_MM_BASE_MODEL:stabilityai/sd-turbo}}"

model = dict(codec=dict(pretrained=base_model), decode_head=dict(unet=dict(pretrained=base_model)))
