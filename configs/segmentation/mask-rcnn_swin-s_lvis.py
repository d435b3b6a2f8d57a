# Mask R-CNN with Swin-S on LVIS v1: the baseline of the two stages. SOS reports them with APE, which is not in mmdet.
_base_ = ["mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py", "../_base_/mmdet/places.py"]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1203), mask_head=dict(num_classes=1203)),
    # LVIS evaluates 300 detections an image, and its rare categories get low scores.
    test_cfg=dict(rcnn=dict(score_thr=1e-4, max_per_img=300)),
)
lvis = dict(type="LVISV1Dataset", data_root="data/lvis_v1/", data_prefix=dict(img=""))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ClassBalancedDataset",
        oversample_thr=1e-3,
        dataset=dict(_base_.train_dataloader.dataset, **lvis, ann_file="annotations/lvis_v1_train.json"),
    )
)
val_dataloader = dict(dataset=dict(**lvis, ann_file="annotations/lvis_v1_val.json"))
test_dataloader = val_dataloader
val_evaluator = dict(type="LVISMetric", ann_file="data/lvis_v1/annotations/lvis_v1_val.json")
test_evaluator = val_evaluator
