# One step of a pruned U-Net and a light mask decoder in place of the VAE's, distilled from a trained one-step model.
_base_ = "sod_diffusion_swinb_1step.py"

model = dict(
    type="DistilledSegmentor",
    # Without the middle block nothing reads the coarsest level.
    neck=dict(levels=3),
    mask_decoder=dict(type="MaskDecoder"),
    decode_head=dict(unet=dict(layers_per_block=1, middle=False)),
    teacher=dict(
        config="{{fileDirname}}/sod_diffusion_swinb_1step.py",
        checkpoint="{{$SOS_MM_TEACHER:work_dirs/sod_diffusion_swinb_1step/epoch_90.pth}}",
    ),
    loss_distill=dict(type="StructureLoss"),
)
