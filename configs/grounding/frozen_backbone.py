_base_ = "composed_100k.py"
model = dict(backbone=dict(frozen_stages=4))
