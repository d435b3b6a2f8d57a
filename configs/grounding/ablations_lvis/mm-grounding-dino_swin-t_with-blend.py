_base_ = "mm-grounding-dino_swin-t_structured.py"
train_dataloader = dict(dataset=dict(data_root=_base_.composed_root + "ablations_lvis/with_blend/"))
