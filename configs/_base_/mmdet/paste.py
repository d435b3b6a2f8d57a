# SegmentPaste on the fly, of segments with COCO's categories. The index is built from the segments of
# configs/synthesis/fc_like.py: `python tools/index_segments.py data/sos/FC.arrow type=release root=data/sos/FC/segments
# metadata=data/sos/FC/metadata.json`.
_base_ = "places.py"
paste = dict(
    type="SegmentPaste",
    bank=dict(type="index", path=_base_.composed_root + "FC.arrow"),
    classes="coco",
    unknown="skip",
)
