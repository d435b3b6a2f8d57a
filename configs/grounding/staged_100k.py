# The second stage, on real data alone, after composed data alone (composed_100k.py). An epoch is one pass over
# Flickr30k; the number of epochs is ours.
_base_ = "../_base_/mmdet/grounding.py"
load_from = "work_dirs/composed_100k/epoch_10.pth"
train_dataloader = dict(
    sampler=dict(source_ratio=[1, 1, 1]), dataset=dict(datasets=[_base_.flickr30k, _base_.objects365, _base_.gqa])
)
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1)]
