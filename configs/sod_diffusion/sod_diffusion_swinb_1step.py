# One step from zero noise at the last timestep, trained by the decoded mask's pixels: no noise, no steps, no ensemble.
_base_ = "../sod_diffusion_swinb.py"

model = dict(
    codec=dict(checkpoint=True),
    decode_head=dict(loss_diffusion=None, loss_pixel=dict(type="StructureLoss")),
    train_cfg=dict(noise=None),
    test_cfg=dict(num_inference_steps=1, noise="zero"),
)
