# One step with a tiny autoencoder in the VAE's place: TAESD, distilled from Stable Diffusion's, with the same latents.
_base_ = "sod_diffusion_swinb_1step.py"

model = dict(
    codec=dict(_delete_=True, type="TinyAutoencoder", pretrained="{{$SOS_MM_TINY_AUTOENCODER:madebyollin/taesd}}")
)
