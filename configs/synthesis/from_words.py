# Images of segments that were drawn from class names: see docs/from_words.md.
# The backgrounds are photographs that show none of the classes; name those that they may show.
_base_ = "fc_like.py"
canvas = (640, 640)
segments = dict(_delete_=True, type="index", path="data/drawn.arrow")
backgrounds = dict(root="data/backgrounds")
background_categories = []
layout = dict(counts=(3, 12), classes="independent", flip=0.5)
formats = ["coco", "objects"]
