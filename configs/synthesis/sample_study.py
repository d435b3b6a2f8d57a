# The salient objects of tools/benchmarks/saliency_study.py: one or two objects, large for their image.
_base_ = "sample_saliency.py"

canvas = (64, 64)
image_format = "png"
layout = dict(
    counts=(1, 2),
    shares=dict(large=1.0, medium=0.0, small=0.0),
    areas=dict(large=(0.1, 0.4)),
    # Nearly square boxes, which the segments fill, so that objects have the sizes of their class.
    aspect=(0.8, 1.25),
)
