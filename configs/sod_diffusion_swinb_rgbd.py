# A depth map as second input: its latent lies beside the image's, and its features are fused with the image's.
_base_ = "sod_diffusion_swinb.py"

model = dict(
    modalities=2,
    data_preprocessor=dict(_delete_=True, type="MultiModalPreprocessor"),
    decode_head=dict(unet=dict(image_latents=2)),
)
