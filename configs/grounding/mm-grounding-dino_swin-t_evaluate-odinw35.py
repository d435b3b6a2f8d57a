# ODinW, 35 data sets.
_base_ = ["mmdet::mm_grounding_dino/odinw/grounding_dino_swin-t_pretrain_odinw35.py", "../_base_/mmdet/places.py"]
model = dict(encoder=dict(num_cp=0), language_model=dict(name=_base_.language_model))
