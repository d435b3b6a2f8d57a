_base_ = "../fc_like.py"
light = []
