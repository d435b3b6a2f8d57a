# The same for general categories (GC): 47,000 of them, hence an index, which opens at once. It is built by
# `python tools/index_segments.py data/sos/GC.arrow type=release root=data/sos/GC/segments
# metadata=data/sos/GC/metadata.json`.
_base_ = "fc_like.py"
segments = dict(_delete_=True, type="index", path="data/sos/GC.arrow")
