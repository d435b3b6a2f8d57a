# The complete scene relit. SOS uses IC-Light, which the classical relighter replaces here.
_base_ = "naive.py"
effects = [dict(type="Relight", relighter=dict(type="GradientRelighter"))]
