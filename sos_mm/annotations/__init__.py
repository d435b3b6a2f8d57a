"""Annotation files as such: read with the place of every fault, checked, converted, split. No torch, no mmdet."""
