# The scene lit anew as a whole. SOS does it with IC-Light, for which the classical relighter stands here.
_base_ = "naive.py"
effects = [dict(type="Relight", relighter=dict(type="GradientRelighter"))]
