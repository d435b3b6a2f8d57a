# The base of SOS's ablations: real and synthetic objects of COCO's categories in the structured layout, without
# effects.
_base_ = "../coco_vocabulary_mix.py"
effects = []
