# Only objects cut out of COCO.
_base_ = "relit_blended.py"
segments = dict(_delete_=True, type="index", path="data/coco.arrow", vocabulary="coco")
