# The scene lit anew as a whole, and each object blended with what it was, by the rank of its area.
_base_ = "../fc_like.py"
effects = ["default", dict(type="AreaWeightedBlend", relighter=dict(type="GradientRelighter"))]
