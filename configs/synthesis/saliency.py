# Salient object detection: few, large objects on photographs.
_base_ = "fc_like.py"
canvas = (512, 512)
layout = dict(
    counts=(1, 4),
    classes="independent",
    # No small objects: they are hardly salient.
    shares=dict(large=0.7, medium=0.3, small=0.0),
    areas=dict(large=(0.1, 0.5), medium=(0.03, 0.1), small=(0.005, 0.03)),
)
formats = ["saliency", "objects"]
