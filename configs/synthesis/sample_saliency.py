# Salient object detection from what is bundled: one to six objects an image, mostly medium and large ones.
# `--cfg-options group=held_out` makes test images of segments and photographs that are not in "train"; give them
# another `--seed` too, since the seed decides the layouts.
canvas = (384, 384)
group = "train"
segments = dict(type="sample")
backgrounds = dict(type="sample")
layout = dict(
    type="StructuredLayout",
    counts=(1, 6),
    shares=dict(large=0.5, medium=0.4, small=0.1),
    areas=dict(large=(0.06, 0.5), medium=(0.015, 0.06), small=(0.006, 0.015)),
    crowded="fewer",
)
sampling = "category"
min_visible_share = 0.5
min_area = 64
writer = "saliency"
image_format = "jpg"
