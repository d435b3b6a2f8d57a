# The blend of SOS's released code: large objects keep most of the original, and all keep their colour.
_base_ = "relit_blended.py"
effects = [
    dict(
        type="AreaWeightedBlend",
        relighter=dict(type="GradientRelighter"),
        low=0.1,
        high=0.7,
        keep="large",
        lone_rank=0.0,
        chroma="original",
    )
]
