_base_ = "../_base_/segments.py"
model = dict(
    source="stabilityai/stable-diffusion-xl-base-1.0",
    licence="CreativeML Open RAIL++-M",
    dtype="float16",
    variant="fp16",
    offload="none",
    vae_slicing=True,
)
sampling = dict(
    num_inference_steps=30,
    guidance_scale=5.0,
    height=1024,
    width=1024,
    negative_prompt="several objects, pattern, text, watermark, frame, cropped, out of frame, hand, person, shadow",
)
