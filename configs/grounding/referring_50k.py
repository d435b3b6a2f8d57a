# The same over 50,000 images, after real_composed_50k.py.
_base_ = "referring.py"
load_from = "work_dirs/real_composed_50k/epoch_10.pth"
expressions = dict(_base_.expressions, data_root=_base_.composed_root + "FC-50K/")
train_dataloader = dict(dataset=dict(datasets=[expressions, *_base_.replay]))
