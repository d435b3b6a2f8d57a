_base_ = "mask2former_r50_naive.py"
train_dataloader = dict(dataset=dict(data_root=_base_.composed_root + "ablations/relit_blended_released_iclight/"))
