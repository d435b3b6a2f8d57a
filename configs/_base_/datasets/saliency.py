# A folder of images and a folder of masks of the same names; DUTS-TR to train and DUTS-TE to test by default. Folders
# with the names of public data sets may hold them as they were distributed; `tools/check_dataset.py` checks them.
# 384x384 whatever the aspect is published; flips, and OpenCV's bilinear filter for PIL's bicubic one, are ours.
input_size = (384, 384)
train_root = "data/DUTS-TR"
test_root = "data/DUTS-TE"

train_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="LoadSaliencyMask"),
    dict(type="ResizeSaliency", scale=input_size, keep_ratio=False),
    dict(type="FlipSaliency", prob=0.5),
    dict(type="PackSaliencyInputs"),
]
test_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="ResizeSaliency", scale=input_size, keep_ratio=False),
    # After resizing: results are evaluated at the mask's own size.
    dict(type="LoadSaliencyMask"),
    dict(type="PackSaliencyInputs"),
]
# Of `tools/test.py --tta`: the mean of the image's prediction and that of the flipped image.
tta_pipeline = [
    dict(type="LoadSaliencyImage"),
    dict(type="ResizeSaliency", scale=input_size, keep_ratio=False),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="FlipSaliency", prob=0.0), dict(type="FlipSaliency", prob=1.0)],
            [dict(type="LoadSaliencyMask")],
            [dict(type="PackSaliencyInputs")],
        ],
    ),
]
tta_model = dict(type="SaliencyTTAModel")
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="SaliencyDataset", data_root=train_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="SaliencyDataset", data_root=test_root, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SODMetric")
test_evaluator = val_evaluator
