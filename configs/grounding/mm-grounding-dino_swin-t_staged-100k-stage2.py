# The second stage: 3 epochs of real data alone at half the learning rate. An epoch is one pass over Flickr30k. SOS's
# configs with real data only have the same equal ratios.
_base_ = "mm-grounding-dino_swin-t_staged-100k-stage1.py"
load_from = "work_dirs/mm-grounding-dino_swin-t_staged-100k-stage1/epoch_3.pth"
optim_wrapper = dict(optimizer=dict(lr=2e-4))
train_dataloader = dict(sampler=dict(source_ratio=[1, 1, 1]), dataset=dict(datasets=_base_.replay))
