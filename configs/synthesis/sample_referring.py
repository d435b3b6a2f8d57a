# Referring expressions of the bundled sample, proved true and unique. Of its photographs, one shows fur that may be a
# cat's, and two show pages that may be those of a book.
_base_ = "sample_detection.py"
background_categories = ["book", "cat"]
formats = ["coco", "panoptic", "odvg", "objects", "referring"]
