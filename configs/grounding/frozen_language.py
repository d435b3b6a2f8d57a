_base_ = "composed_100k.py"
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(language_model=dict(lr_mult=0.0))))
