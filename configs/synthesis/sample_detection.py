# Detection, segmentation and grounding data from the bundled sample: 3 to 12 objects an image, with light effects.
_base_ = "sample_saliency.py"
canvas = (512, 512)
layout = dict(_delete_=True, type="StructuredLayout", counts=(3, 12), crowded="fewer", max_enlargement=3.0)
effects = "default"
formats = ["coco", "panoptic", "lvis", "odvg", "yolo", "objects"]
