# The same over 50,000 images, after mm-grounding-dino_swin-t_real-composed-50k.py.
_base_ = "mm-grounding-dino_swin-t_referring-100k.py"
load_from = "work_dirs/mm-grounding-dino_swin-t_real-composed-50k/epoch_10.pth"
expressions = dict(_base_.expressions, data_root=_base_.composed_root + "FC-50K/")
train_dataloader = dict(dataset=dict(datasets=[expressions, *_base_.replay]))
