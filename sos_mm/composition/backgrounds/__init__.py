"""Backgrounds: photographs and procedural backgrounds."""
