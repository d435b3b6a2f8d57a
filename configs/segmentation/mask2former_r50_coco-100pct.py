# Mask2Former on all of COCO: mmdet's own config, what the others are compared with.
_base_ = ["mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "../_base_/mmdet/places.py"]
