# Fine-tuning on referring expressions over composed images, after composed_100k.py: 5 epochs at 4e-4. Left and right
# are words there, so nothing is flipped.
_base_ = "composed_100k.py"
load_from = "work_dirs/composed_100k/epoch_10.pth"
pipeline = _base_.train_pipeline
pipeline[2].update(prob=0.0)
train_dataloader = dict(
    sampler=dict(source_ratio=[1]),
    dataset=dict(
        datasets=[dict(_base_.phrase, data_root=_base_.composed_root + "FC-100K-referring/", pipeline=pipeline)]
    ),
)
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1)]
