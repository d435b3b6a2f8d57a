# LVIS v1, all 19,809 images of its validation set: fixed AP. The file is data/coco/annotations/lvis_od_val.json.
_base_ = ["mmdet::mm_grounding_dino/lvis/grounding_dino_swin-t_pretrain_zeroshot_lvis.py", "../_base_/mmdet/places.py"]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
