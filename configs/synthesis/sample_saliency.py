# Salient object detection from the bundled sample: one to six objects an image, medium and large ones.
# `--cfg-options group=held_out` generates test images of segments and photographs that are not in "train"; give them
# another `--seed` too, since the seed determines the layouts.
canvas = (384, 384)
group = "train"
segments = dict(type="sample")
backgrounds = dict(type="sample")
layout = dict(
    type="StructuredLayout",
    counts=(1, 6),
    # No small objects: they are hardly salient.
    shares=dict(large=0.6, medium=0.4, small=0.0),
    areas=dict(large=(0.08, 0.5), medium=(0.025, 0.08), small=(0.006, 0.025)),
    crowded="fewer",
    # The bundled segments have up to 256 pixels; this limit still lets large objects fill half of an image.
    max_enlargement=3.0,
)
sampling = "category"
min_visible_share = 0.5
min_area = 64
formats = ["saliency"]
image_format = "jpg"
