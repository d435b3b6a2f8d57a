# The complete scene relit, and each object blended with its original by the rank of its area.
_base_ = "../fc_like.py"
effects = ["default", dict(type="AreaWeightedBlend", relighter=dict(type="GradientRelighter"))]
