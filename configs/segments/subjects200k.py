_base_ = "../_base_/cut_out.py"
# Segments cut out of Subjects200K: pairs of images of one subject in two scenes, of which those of COCO's categories.
categories = "coco"
pairs = dict(
    files="data/subjects200k/data/*.parquet",
    licence="Apache-2.0, by the data set's card",
    pictures=2,
    padding=16,
    # The value from which the authors call a pair of high quality.
    least_quality=5,
)
