# The method as published, with the defects of its released code mended.
_base_ = ["_base_/sod_diffusion_swinb.py", "_base_/datasets/saliency.py"]
