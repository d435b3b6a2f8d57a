# MM-Grounding-DINO Swin-T, trained as SOS trains it from O365+GoldG weights and evaluated on LVIS minival; children
# choose the sources.
_base_ = ["mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_v3det.py", "places.py"]

published = "https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-t_pretrain_"
from_o365_goldg = published + "obj365_goldg/grounding_dino_swin-t_pretrain_obj365_goldg_20231122_132602-4ea751ce.pth"
from_all = (
    published + "obj365_goldg_grit9m_v3det/"
    "grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_v3det_20231204_095047-b448804b.pth"
)
load_from = from_o365_goldg

model = dict(
    type="CappedGroundingDINO",
    bbox_head=dict(type="CappedGroundingDINOHead"),
    encoder=dict(num_cp=0),  # Activation checkpointing would need fairscale.
    language_model=dict(name=_base_.language_model),
    # For LVIS's categories: 40 in a prompt.
    test_cfg=dict(chunked_size=40),
)

# 85 negatives, 256 tokens.
train_pipeline = _base_.train_pipeline
# Indices of the mirroring, and of the resizing and cropping, in the pipeline.
flip_place = [step["type"] for step in train_pipeline].index("RandomFlip")
crop_place = [step["type"] for step in train_pipeline].index("RandomChoice")
train_pipeline[-2].update(tokenizer_name=_base_.language_model)
# An image is not mirrored if its caption contains words of sides or of text on an object.
train_pipeline[flip_place] = dict(type="WordSafeTransform", transform=train_pipeline[flip_place], operation="mirror")
objects365 = dict(_base_.o365v1_od_dataset, pipeline=train_pipeline)
flickr30k = dict(_base_.flickr30k_dataset, pipeline=train_pipeline)
gqa = dict(_base_.gqa_dataset, pipeline=train_pipeline)
grit = dict(_base_.grit_dataset, pipeline=train_pipeline)
v3det_pipeline = _base_.v3d_train_pipeline
v3det_pipeline[-2].update(tokenizer_name=_base_.language_model)
v3det = dict(_base_.v3det_dataset, pipeline=v3det_pipeline)
# Data sets of tools/synthesize.py; children add `data_root`.
phrase = dict(
    type="CompactODVGDataset",
    ann_file="annotations/odvg_grounding.jsonl",
    data_prefix=dict(img="images/"),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
    pipeline=train_pipeline,
)
category = dict(phrase, ann_file="annotations/odvg_detection.jsonl", label_map_file="annotations/odvg_label_map.json")

# Joint training mixes real and composed data. SOS's sampling ratios for one composed set as detection and as grounding
# data, for two such sets, and for two sets as one kind of data each:
replay = [flickr30k, objects365, gqa]
joint_ratio = [6, 3, 1, 1, 1]
joint_mix_ratio = [4, 2, 4, 2, 1, 1, 1]
joint_pair_ratio = [3, 3, 1, 1, 1]

# An epoch is one pass over the first source. 128 images a step: 32 GPUs, or fewer with `--auto-scale-lr`.
train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type="SourceRatioSampler", batch_size=4, source_ratio=[2, 1]),
    batch_sampler=dict(_delete_=True, type="SourceRatioBatchSampler"),
)
custom_hooks = [dict(type="VisitHook")]
auto_scale_lr = dict(base_batch_size=128)

minival = "annotations/lvis_v1_minival_inserted_image_name.json"
val_dataloader = dict(
    dataset=dict(type="LVISV1Dataset", data_root="data/coco/", ann_file=minival, data_prefix=dict(img=""))
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="LVISFixedAPMetric", ann_file="data/coco/" + minival)
test_evaluator = val_evaluator

# AdamW at 4e-4, weight decay 1e-4, clipping at 0.1, and a tenth of the rate for both encoders are mmdet's. SOS gives
# lengths for 50,000 composed images, 10 epochs with a step after 6, which are these, for 500,000, 6 and 4, and for
# 1,000,000, 4 and 3. For 100,000 we take the first, for 400,000 the second.
max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[6], gamma=0.1)]
