"""Models: segmentors and their parts."""
