# Only what joins image and text is trained.
_base_ = "frozen_language.py"
model = dict(backbone=dict(frozen_stages=4))
