# The main config. The method is the paper's: masks denoised as latents beside the image's, v-prediction, Swin-B, CBAM
# fusion, cross-attention to f, auxiliary loss. Ours are the pyramid of f with a level, positions and a time gate in the
# cross-attention, stronger and annealed noise, zero terminal SNR with 4 steps and no ensemble, flips, a rate that
# decays, averaged weights, and what mends known bugs. The published form is sod_diffusion_swinb_published.py.
_base_ = ["_base_/sod_diffusion_swinb.py", "_base_/datasets/saliency.py"]
