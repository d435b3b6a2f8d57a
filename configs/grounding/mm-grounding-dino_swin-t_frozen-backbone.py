_base_ = "mm-grounding-dino_swin-t_composed-100k.py"
model = dict(backbone=dict(frozen_stages=4))
