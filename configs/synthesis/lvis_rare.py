# The categories of LVIS with its ids; rare ones are drawn more often, by LVIS's repeat factors.
_base_ = "fc_like.py"
segments = dict(
    vocabulary="data/lvis_v1/annotations/lvis_v1_train.json",
    category_weights=dict(annotations="data/lvis_v1/annotations/lvis_v1_train.json"),
)
sampling = "weighted"
vocabulary = "data/lvis_v1/annotations/lvis_v1_train.json"
formats = ["coco", "lvis", "odvg", "objects"]
