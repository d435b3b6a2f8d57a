# Only the modules that fuse image and text are trained.
_base_ = "mm-grounding-dino_swin-t_frozen-language.py"
model = dict(backbone=dict(frozen_stages=4))
