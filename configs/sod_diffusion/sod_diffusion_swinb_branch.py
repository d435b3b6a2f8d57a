# The encoder and the fusion alone, with a light decoder: the baseline of every claim about diffusion.
_base_ = "../sod_diffusion_swinb.py"

model = dict(
    type="SalientBranchSegmentor",
    neck=dict(levels=1),
    codec=None,
    decode_head=dict(
        _delete_=True,
        type="SalientBranchHead",
        decoder=dict(type="MaskDecoder", in_channels=64, guided=True),
        loss_pixel=dict(type="StructureLoss"),
    ),
    train_cfg=None,
)
