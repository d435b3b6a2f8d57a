# Real and composed data in one run: by category, by phrase, Flickr30k, Objects365, GQA as 6:3:1:1:1.
_base_ = "composed_100k.py"
train_dataloader = dict(
    sampler=dict(source_ratio=[6, 3, 1, 1, 1]),
    dataset=dict(datasets=[*_base_.train_dataloader.dataset.datasets, _base_.flickr30k, _base_.objects365, _base_.gqa]),
)
