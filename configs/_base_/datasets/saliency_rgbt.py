# RGB-T: trained on the first half of VT5000, tested on its second half, VT821 and VT1000. Each folder holds RGB, T and
# GT, as distributed.
_base_ = "saliency.py"

thermal = dict(type="LoadAuxiliaryImage")
train_pipeline, test_pipeline, tta_pipeline = (
    [steps[0], thermal, *steps[1:]] for steps in (_base_.train_pipeline, _base_.test_pipeline, _base_.tta_pipeline)
)
train_sets = [
    dict(type="SaliencyDataset", data_root=f"data/{root}", benchmark=root.split("/")[0], pipeline=train_pipeline)
    for root in ("VT5000/Train",)
]
test_sets = [
    dict(
        type="SaliencyDataset",
        data_root=f"data/{root}",
        benchmark=root.split("/")[0],
        test_mode=True,
        pipeline=test_pipeline,
    )
    for root in ("VT5000/Test", "VT821", "VT1000")
]
train_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=train_sets))
val_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=test_sets))
test_dataloader = val_dataloader
