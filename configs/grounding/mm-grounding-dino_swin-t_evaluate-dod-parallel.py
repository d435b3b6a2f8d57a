# DoD: FULL, PRES and ABS, each description on its own.
_base_ = [
    "mmdet::mm_grounding_dino/dod/grounding_dino_swin-t_pretrain_zeroshot_parallel_dod.py",
    "../_base_/mmdet/places.py",
]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
