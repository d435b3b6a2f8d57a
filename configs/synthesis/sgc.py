# Single-category images of general categories (SGC).
_base_ = "gc_like.py"
sampling = "single_category"
