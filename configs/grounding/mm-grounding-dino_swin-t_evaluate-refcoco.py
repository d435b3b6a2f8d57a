# RefCOCO, RefCOCO+, RefCOCOg (precision at 1, 5 and 10) and gRefCOCO (P@1, N_acc).
_base_ = [
    "mmdet::mm_grounding_dino/refcoco/grounding_dino_swin-t_pretrain_zeroshot_refexp.py",
    "../_base_/mmdet/places.py",
]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
