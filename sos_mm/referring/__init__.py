"""Referring expressions that are proved true and unique of annotated images."""
