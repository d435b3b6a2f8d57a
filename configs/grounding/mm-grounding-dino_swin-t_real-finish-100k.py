# Ours: a last epoch on real data only, at the lowest learning rate, after training on real and composed data
# (mm-grounding-dino_swin-t_real-composed-100k.py).
_base_ = "mm-grounding-dino_swin-t_staged-100k-stage2.py"
load_from = "work_dirs/mm-grounding-dino_swin-t_real-composed-100k/epoch_10.pth"
optim_wrapper = dict(optimizer=dict(lr=4e-5))
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = []
