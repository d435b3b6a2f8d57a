"""Validation, conversion and subsets of annotation files. Imports neither torch nor mmdet."""
