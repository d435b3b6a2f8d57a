# The base of SOS's ablations: real and synthetic objects of COCO's categories in the structured layout, painted as they
# are.
_base_ = "../coco_vocabulary_mix.py"
effects = []
