"""Indices of segments: what is known of each in a memory-mapped Arrow file, and reduced copies beside it."""
