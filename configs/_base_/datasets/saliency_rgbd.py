# RGB-D: trained on the usual halves of NJU2K and NLPR, tested on their other halves, STERE and SIP. Each folder holds
# images, depth and masks as distributed (RGB, depth, GT; Image, Depth, Mask; ...). Where a set is in one folder,
# give both data sets that folder and the lists of the halves as `stems`.
_base_ = "saliency.py"

depth = dict(type="LoadAuxiliaryImage", stretch=True)
train_pipeline, test_pipeline, tta_pipeline = (
    [steps[0], depth, *steps[1:]] for steps in (_base_.train_pipeline, _base_.test_pipeline, _base_.tta_pipeline)
)
train_sets = [
    dict(type="SaliencyDataset", data_root=f"data/{root}", benchmark=root.split("/")[0], pipeline=train_pipeline)
    for root in ("NJU2K/train", "NLPR/train")
]
test_sets = [
    dict(
        type="SaliencyDataset",
        data_root=f"data/{root}",
        benchmark=root.split("/")[0],
        test_mode=True,
        pipeline=test_pipeline,
    )
    for root in ("NJU2K/test", "NLPR/test", "STERE", "SIP")
]
train_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=train_sets))
val_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=test_sets))
test_dataloader = val_dataloader
