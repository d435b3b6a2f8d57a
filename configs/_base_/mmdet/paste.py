# SegmentPaste on the fly, of segments with COCO's categories:
# `python tools/index_segments.py data/sos/FC.arrow type=release root=cutouts metadata=cutouts.json`.
_base_ = "places.py"
paste = dict(
    type="SegmentPaste",
    bank=dict(type="index", path=_base_.composed_root + "FC.arrow"),
    classes="coco",
    unknown="skip",
    light="default",
)
