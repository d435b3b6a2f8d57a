# Fine-tuning on referring expressions over 100,000 images of frequent categories, after
# mm-grounding-dino_swin-t_real-composed-100k.py: 5 epochs at 2e-4, with the language model at full rate. The initial
# weights and the schedule are ours; the ratio is that of SOS's configs with one composed source. Images whose
# expressions contain words of position, such as "left", "the second" or "behind", are neither mirrored nor cropped, but
# resized.
# Captions join expressions of an image that are proved true and unique, negative phrases included:
#   python tools/refer.py data/sos/FC-100K --out data/sos/FC-100K/annotations --complete all
# `--complete all` asserts that the backgrounds show nothing of FC's categories. `--expressions FILE` takes those of a
# language model, if they are proved.
_base_ = "mm-grounding-dino_swin-t_real-composed-100k.py"
load_from = "work_dirs/mm-grounding-dino_swin-t_real-composed-100k/epoch_10.pth"
pipeline = [*_base_.train_pipeline]
crop = pipeline[_base_.crop_place]
pipeline[_base_.crop_place] = dict(
    type="WordSafeTransform", transform=crop, operation="crop", otherwise=crop["transforms"][0]
)
uncropped = dict(_base_.phrase, pipeline=pipeline)
expressions = dict(uncropped, data_root=_base_.root, ann_file="annotations/odvg_referring.jsonl")
train_dataloader = dict(sampler=dict(source_ratio=[5, 1, 1, 1]), dataset=dict(datasets=[expressions, *_base_.replay]))
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(custom_keys=dict(language_model=dict(lr_mult=1.0))))
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1)]
