# A second image beside the first: its latent is put beside the other's, and the features of both are fused.
_base_ = "sod_diffusion_swinb.py"

model = dict(
    modalities=2,
    data_preprocessor=dict(_delete_=True, type="MultiModalPreprocessor"),
    decode_head=dict(unet=dict(image_latents=2)),
)
