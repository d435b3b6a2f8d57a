_base_ = "../fc_like.py"
layout = dict(_delete_=True, type="CocoLayout", annotations="data/coco/annotations/instances_train2017.json", flip=0.0)
