# As published: 500 epochs at a constant rate, and the gradients of the U-Net alone clipped.
_base_ = "sod_diffusion.py"
train_cfg = dict(max_epochs=500)
optim_wrapper = dict(constructor="PartClippingConstructor", clip_part="decode_head.denoiser.unet")
param_scheduler = []
