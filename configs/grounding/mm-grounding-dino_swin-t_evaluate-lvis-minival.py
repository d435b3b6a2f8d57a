# LVIS v1 minival, 5,000 images: fixed AP. The file is
# data/coco/annotations/lvis_v1_minival_inserted_image_name.json.
_base_ = [
    "mmdet::mm_grounding_dino/lvis/grounding_dino_swin-t_pretrain_zeroshot_mini-lvis.py",
    "../_base_/mmdet/places.py",
]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
