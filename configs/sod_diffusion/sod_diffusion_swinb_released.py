# The authors' released code, bugs included, also for their checkpoints (tools/convert_checkpoint.py): images of [0, 1]
# for the VAE and Swin, a new first convolution, the noise schedule without zero terminal SNR, and axial attention where
# the paper has CBAM. Known differences: their predictions are made in training mode, with batch statistics and
# drop-path (members differ by .021 on the mean, .33 at most), ours in evaluation mode; their true masks and noise are
# scaled over a whole batch, ours image by image (noise) or not (masks). Left out are their search for a scale and a
# shift of each member, which changes little, and their initial weights of the auxiliary convolution.
_base_ = "sod_diffusion_swinb_published.py"
schedule = dict(rescale_betas_zero_snr=False, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False)
model = dict(
    image_range="unit",
    backbone=dict(normalize=False, output_norm=True, always_partition=True),
    neck=dict(_delete_=True, type="ReleasedFusion", out_channels=64),
    decode_head=dict(unet=dict(widen="random"), scheduler=schedule),
)
