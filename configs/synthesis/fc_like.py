# Composed detection, segmentation and grounding data of SOS's frequent categories (FC).
# The segments are stored as <category>/<sub-category>/<id>.png in `root`, their texts in `metadata`.
canvas = (1024, 1024)
segments = dict(type="release", root="data/sos/FC/segments", metadata="data/sos/FC/metadata.json")
backgrounds = dict(type="folder", root="data/sos/backgrounds")
# Sizes, aspects and visible shares are the published ones, the defaults of the prior. As in the released code every
# image has its share of large objects, and no object is mirrored: words such as "left" stay true.
layout = dict(type="StructuredLayout", counts=(5, 20), classes="rounded", flip=0.0, crowded="fewer")
sampling = "category"
effects = "default"
min_visible_share = 0.5
min_area = 64
formats = ["coco", "panoptic", "odvg", "objects"]
