# Relit by IC-Light, and each object blended with its original by the rank of its area, as in the paper.
_base_ = "naive.py"
effects = [dict(type="AreaWeightedBlend", relighter=dict(type="ICLightRelighter"))]
