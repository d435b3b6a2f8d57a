# Single-category images (SFC): all objects of one category with different attributes, to learn to tell them apart.
_base_ = "fc_like.py"
sampling = "single_category"
