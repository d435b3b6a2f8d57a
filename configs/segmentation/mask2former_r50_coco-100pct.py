# Mask2Former on all of COCO: mmdet's own config, the baseline of the others.
_base_ = ["mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", "../_base_/mmdet/places.py"]
