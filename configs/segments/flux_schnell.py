_base_ = "../_base_/segments.py"
# 12 billion parameters, 4 steps, without guidance. Apache-2.0.
model = dict(
    source="black-forest-labs/FLUX.1-schnell", licence="Apache-2.0", dtype="bfloat16", offload="none", vae_slicing=True
)
sampling = dict(num_inference_steps=4, guidance_scale=0.0, max_sequence_length=256, height=1024, width=1024)
