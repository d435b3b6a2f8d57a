# Single-category images (SFC): objects of one category with different attributes, for learning to tell them apart.
_base_ = "fc_like.py"
sampling = "single_category"
