# The 80 categories of COCO with COCO's ids, to be mixed with it in training.
_base_ = "fc_like.py"
segments = dict(vocabulary="coco")
vocabulary = "coco"
