_base_ = "naive.py"
layout = dict(_delete_=True, type="DepthLayout", counts=(5, 20), crowded="fewer", flip=0.0)
