# Data paths and imports of all configs that inherit mmdet's: the one file to change. The data sets of mmdet's own
# configs keep their paths: data/coco (with LVIS's files, on which grounding models are evaluated),
# data/lvis_v1 (Mask R-CNN's), data/objects365v1, data/flickr30k_entities, data/gqa, data/V3Det, grit_processed,
# data/odinw, data/d3. configs/dataset_prepare.md says which files and where they come from.
custom_imports = dict(imports=["sos_mm.augmentation", "sos_mm.detection"], allow_failed_imports=False)
composed_root = "{{$SOS_MM_COMPOSED:data/sos/}}"
# Hub id or local folder.
language_model = "{{$SOS_MM_LANGUAGE_MODEL:bert-base-uncased}}"
# The seed makes a resumed run continue exactly: without one, mmengine draws a new seed for the sampler.
randomness = dict(seed=0)
