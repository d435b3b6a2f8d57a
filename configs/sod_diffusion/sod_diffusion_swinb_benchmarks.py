# The five test sets of the paper in one run of `tools/test.py`, with a table at its end.
_base_ = "../sod_diffusion_swinb.py"

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[
            dict(type="SaliencyDataset", data_root=f"data/{name}", test_mode=True, pipeline={{_base_.test_pipeline}})
            for name in ("DUTS-TE", "DUT-OMRON", "ECSSD", "HKU-IS", "PASCAL-S")
        ],
    )
)
