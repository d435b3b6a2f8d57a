# The complete scene relit by IC-Light, as in SOS. Its files and their licences: docs/relighting.md.
_base_ = "naive.py"
effects = [dict(type="Relight", relighter=dict(type="ICLightRelighter"))]
