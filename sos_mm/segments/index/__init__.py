"""Indices of segments: the metadata of each in a memory-mapped Arrow file, and reduced copies beside it."""
