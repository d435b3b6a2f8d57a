_base_ = "cut_out.py"
# A bank of drawn segments: COCO's categories, prompts from templates.
categories = "coco"
prompts = dict(type="templates", per_category=20)
images_per_prompt = 3
batch_size = 4
