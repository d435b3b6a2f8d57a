# The second stage: LVIS, from the weights of the first stage.
_base_ = "mask-rcnn_swin-s_lvis.py"
load_from = "work_dirs/mask-rcnn_swin-s_lvis_stage1/epoch_12.pth"
