# SOS's staged schedule, the first stage: real and composed data together, 3 epochs with a cosine schedule.
_base_ = "mm-grounding-dino_swin-t_real-composed-100k.py"
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type="CosineAnnealingLR", begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
