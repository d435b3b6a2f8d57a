# The 80 categories of COCO with COCO's ids, of synthetic objects only, to be mixed with COCO's images in training.
_base_ = "fc_like.py"
segments = dict(vocabulary="coco")
vocabulary = "coco"
