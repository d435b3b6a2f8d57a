"""Indices of segments: the metadata of each in a memory-mapped Arrow file, and multi-resolution copies beside it."""
