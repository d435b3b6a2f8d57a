# The categories of LVIS with its ids, rare ones more often: drawn by the repeat factors that LVIS trains with.
_base_ = "fc_like.py"
segments = dict(
    vocabulary="data/lvis_v1/annotations/lvis_v1_train.json",
    category_weights=dict(annotations="data/lvis_v1/annotations/lvis_v1_train.json"),
)
sampling = "weighted"
vocabulary = "data/lvis_v1/annotations/lvis_v1_train.json"
formats = ["coco", "lvis", "odvg", "objects"]
