"""Data sets of images with saliency masks, and their transforms."""
