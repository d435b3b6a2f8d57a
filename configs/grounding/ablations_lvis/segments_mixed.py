_base_ = "structured.py"
train_dataloader = dict(dataset=dict(data_root=_base_.composed_root + "ablations_lvis/segments_mixed/"))
