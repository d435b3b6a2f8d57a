_base_ = "../fc_like.py"
layout = dict(_delete_=True, type="DepthLayout", counts=(5, 20), flip=0.0, crowded="fewer")
