_base_ = "../_base_/segments.py"
# The model of SOS. Its licence forbids commercial use of the weights: read what it says of outputs before training.
model = dict(
    source="black-forest-labs/FLUX.1-dev",
    licence="FLUX.1 [dev] Non-Commercial License",
    dtype="bfloat16",
    offload="none",
    vae_slicing=True,
)
sampling = dict(num_inference_steps=28, guidance_scale=3.5, max_sequence_length=512, height=1024, width=1024)
