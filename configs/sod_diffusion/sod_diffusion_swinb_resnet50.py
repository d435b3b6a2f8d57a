# A ResNet-50, an encoder of ordinary strength, in Swin-B's place.
_base_ = "../sod_diffusion_swinb.py"

model = dict(
    backbone=dict(
        _delete_=True, type="SalientEncoder", model_name="resnet50.a1_in1k", pretrained=True, out_indices=(2, 3, 4)
    )
)
