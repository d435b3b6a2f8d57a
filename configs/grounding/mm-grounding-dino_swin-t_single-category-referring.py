# The same with proved expressions in place of phrases: minimal pairs differ in one attribute or relation.
#   python tools/refer.py data/sos/SFC-50K --out data/sos/SFC-50K/annotations --complete all   # and for SGC-50K
_base_ = "mm-grounding-dino_swin-t_single-category.py"
train_dataloader = dict(
    dataset=dict(datasets=[*(dict(_base_.expressions, data_root=root) for root in _base_.roots), *_base_.replay])
)
