# The main config: the paper's method with changes of ours. The paper's: mask latents denoised beside the image's,
# v-prediction, Swin-B, CBAM fusion, cross-attention to the feature f (AFIM), the auxiliary loss. Ours: in the AFIM a
# pyramid of f, a projection for each level, positions and a time gate; stronger, annealed noise; zero terminal SNR with
# 4 steps and no ensemble; flips; a decaying rate; averaged weights. Known bugs of the released code are fixed.
# Without our changes: sod_diffusion/sod_diffusion_swinb_published.py.
_base_ = ["_base_/sod_diffusion_swinb.py", "_base_/datasets/saliency.py"]
