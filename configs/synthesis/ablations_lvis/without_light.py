_base_ = "../fc_like.py"
effects = []
