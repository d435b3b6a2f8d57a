_base_ = "mm-grounding-dino_swin-t_composed-100k.py"
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(language_model=dict(lr_mult=0.0))))
