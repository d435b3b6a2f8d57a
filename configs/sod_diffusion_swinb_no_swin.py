# Ablation: a ResNet-50 in Swin-B's place. The cross-attention needs keys, so its place cannot be left empty; this is
# the encoder of ordinary strength, and what the model loses is what Swin-B is good for.
_base_ = "sod_diffusion_swinb.py"

model = dict(
    backbone=dict(
        _delete_=True, type="SalientEncoder", model_name="resnet50.a1_in1k", pretrained=True, out_indices=(2, 3, 4)
    )
)
