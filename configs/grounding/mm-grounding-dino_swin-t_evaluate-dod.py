# DoD: FULL, PRES and ABS, all descriptions of an image in one text.
_base_ = [
    "mmdet::mm_grounding_dino/dod/grounding_dino_swin-t_pretrain_zeroshot_concat_dod.py",
    "../_base_/mmdet/places.py",
]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
