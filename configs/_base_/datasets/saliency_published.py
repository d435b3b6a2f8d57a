# As published: images and masks of training squashed to 384x384 by PIL's bicubic filter, and no augmentation.
_base_ = "saliency.py"

load_image, load_mask, resize, pack = (_base_.train_pipeline[index] for index in (0, 1, 2, -1))
resize = dict(resize, backend="pillow", interpolation="bicubic")
train_pipeline = [load_image, load_mask, resize, pack]
# The mask is loaded after resizing: results are evaluated at its own size.
test_pipeline = [load_image, resize, load_mask, pack]
tta_pipeline = [load_image, resize, _base_.tta_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
