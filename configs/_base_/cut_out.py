# How objects are cut out of images of one object each: two cutters that must agree, and the filters.
shard_size = 96
cutter = dict(type="OnnxCutter", path="weights/vit_s_focus.onnx")
second_cutter = dict(type="OnnxCutter", path="weights/u2netp.onnx")
filters = dict(agreement=0.85, components=1, margin=1, area=(0.02, 0.9), soft=0.3, duplicates=4)
keep_rejected = False
