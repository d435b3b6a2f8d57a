"""Models: segmentors and what they are built of."""
