# The same with GRIT and V3Det, from the weights of all real data. The shares of those two are ours.
_base_ = "real_composed_100k.py"
load_from = _base_.from_all
train_dataloader = dict(
    sampler=dict(source_ratio=[6, 3, 1, 1, 1, 1, 1]),
    dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, _base_.v3det, _base_.grit]),
)
