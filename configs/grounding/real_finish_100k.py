# Ours: a last epoch on real data alone, at the lowest rate, after real and composed data (real_composed_100k.py).
_base_ = "staged_100k_stage2.py"
load_from = "work_dirs/real_composed_100k/epoch_10.pth"
optim_wrapper = dict(optimizer=dict(lr=4e-5))
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = []
