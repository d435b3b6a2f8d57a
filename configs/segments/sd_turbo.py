_base_ = "../_base_/segments.py"
# A small model for trying out: one to four steps at 512x512, without guidance.
model = dict(
    source="stabilityai/sd-turbo",
    licence="see the model card and https://stability.ai/license",
    dtype="float16",
    variant="fp16",
    offload="none",
)
sampling = dict(num_inference_steps=2, guidance_scale=0.0, height=512, width=512)
batch_size = 16
