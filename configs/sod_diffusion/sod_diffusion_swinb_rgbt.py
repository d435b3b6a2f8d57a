# A thermal image as second image.
_base_ = ["../_base_/sod_diffusion_swinb_two_images.py", "../_base_/datasets/saliency_rgbt.py"]
