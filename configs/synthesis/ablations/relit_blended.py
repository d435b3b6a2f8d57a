# Relit, and each object blended with its original by the rank of its area: small objects keep most of the original, as
# in the paper.
_base_ = "naive.py"
effects = [dict(type="AreaWeightedBlend", relighter=dict(type="GradientRelighter"))]
