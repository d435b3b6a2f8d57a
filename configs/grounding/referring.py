# Fine-tuning on referring expressions over composed images, after composed_100k.py: 5 epochs at 4e-4. Left and right
# are words there, and so are "the second", "the middle one" and "behind": what they are said of is neither mirrored nor
# cropped, but resized.
# Expressions that a language model wrote, once they are ODVG with one a line, or each phrase of the images by itself:
#   python tools/convert_annotations.py odvg-mdetr data/sos/FC-100K/annotations/odvg_grounding.jsonl referring.json
#   python tools/convert_annotations.py mdetr-odvg referring.json data/sos/FC-100K/annotations/odvg_referring.jsonl
_base_ = "composed_100k.py"
load_from = "work_dirs/composed_100k/epoch_10.pth"
pipeline = _base_.train_pipeline
pipeline[3] = dict(
    type="WordSafeTransform", transform=pipeline[3], operation="crop", otherwise=pipeline[3]["transforms"][0]
)
expressions = dict(_base_.phrase, data_root=_base_.root, ann_file="annotations/odvg_referring.jsonl", pipeline=pipeline)
train_dataloader = dict(sampler=dict(source_ratio=[1]), dataset=dict(datasets=[expressions]))
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1)]
