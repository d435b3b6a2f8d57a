# A depth image as second image.
_base_ = ["../_base_/sod_diffusion_swinb_two_images.py", "../_base_/datasets/saliency_rgbd.py"]
