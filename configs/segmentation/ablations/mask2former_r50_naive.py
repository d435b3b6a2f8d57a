# SOS's ablations: Mask2Former trained only on composed images of COCO's categories, evaluated on COCO val2017. Recipes
# of the same names, with underscores for hyphens, in configs/synthesis/ablations generate the images. Their number,
# 50,000, and the training schedule, mmdet's for COCO, are ours.
_base_ = "../mask2former_r50_coco-100pct.py"
train_dataloader = dict(
    dataset=dict(
        data_root=_base_.composed_root + "ablations/naive/",
        ann_file="annotations/instances.json",
        data_prefix=dict(img="images/"),
    )
)
