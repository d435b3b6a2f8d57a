# Relit by IC-Light, and blended as in SOS's released code.
_base_ = "relit_blended_released.py"
effects = [{**_base_.effects[0], "relighter": dict(type="ICLightRelighter")}]
