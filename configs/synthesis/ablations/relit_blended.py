# Lit anew, and each object blended with what it was by the rank of its area: most is kept of small ones, as the paper
# says.
_base_ = "naive.py"
effects = [dict(type="AreaWeightedBlend", relighter=dict(type="GradientRelighter"))]
