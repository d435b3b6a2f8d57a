_base_ = "naive.py"
layout = dict(_delete_=True, type="RandomLayout", counts=(5, 20), sizes="own", flip=0.0)
