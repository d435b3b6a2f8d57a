"""Validation, conversion, subsets and the leakage audit of annotation files. Imports neither torch nor mmdet."""
